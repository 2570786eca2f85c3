"""Prints the facts of the published API model that the tests need: operations, members, constraints, errors. No prose."""
import gzip
import json
import os

import botocore

path = os.path.join(os.path.dirname(botocore.__file__), "data", "kms", "2014-11-01", "service-2.json")
if os.path.exists(path):
    model = json.load(open(path, encoding="utf-8"))
else:
    model = json.load(gzip.open(path + ".gz", "rt", encoding="utf-8"))


def operation(o):
    return {
        "input": o["input"]["shape"],
        "output": o.get("output", {}).get("shape", ""),
        "errors": sorted(e["shape"] for e in o["errors"]),
    }


def shape(s):
    facts = {k: s[k] for k in ("type", "min", "max", "pattern", "enum", "sensitive", "required") if k in s}
    if "members" in s:
        facts["members"] = {name: m["shape"] for name, m in s["members"].items()}
        facts["order"] = list(s["members"])
    for part in ("member", "key", "value"):
        if part in s:
            facts[part] = s[part]["shape"]
    return facts


def section(entries):
    return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in entries) + "\n}"


operations = section((k, operation(o)) for k, o in sorted(model["operations"].items()))
shapes = section((k, shape(s)) for k, s in sorted(model["shapes"].items()) if not s.get("exception"))
print('{"botocore": ' + json.dumps(botocore.__version__) + ",")
print('"operations": ' + operations + ',\n"shapes": ' + shapes + "}")
