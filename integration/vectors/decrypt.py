#!/usr/bin/env python3
"""Decrypt Trent's symmetric ciphertext without Trent.

An implementation of docs/cryptography.md that shares no code with Trent: Python's standard library and the AES-256-GCM below.
It reads small messages slowly and is not hardened against side channels; use it on a machine of your own.

  decrypt.py show BLOB                                    what the blob says of itself, and the input of the key derivation
  decrypt.py open --material HEX [--context JSON] BLOB    decrypt with the 32 bytes of key material
  decrypt.py open --message-key HEX [--context JSON] BLOB decrypt with the message key that an HSM computed: HMAC-SHA-256 of
                                                          the key derivation's input ('show') under the key material
  decrypt.py vectors FILE                                 check the published test vectors

BLOB is base64, or - for standard input. The plaintext goes to standard output as it is.
"""
import argparse, base64, hashlib, hmac, json, sys


class Invalid(Exception):
    """The blob, its key or its encryption context is wrong; AES-GCM does not tell which."""


# --- AES-256 (FIPS 197), encryption only, and GCM (SP 800-38D) ---------------------------------------------------------------

def _sbox():
    p = q = 1
    box = [0] * 256
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)          # p runs through the powers of 3
        q ^= q << 1; q ^= q << 2; q ^= q << 4; q &= 0xFF    # q through their inverses
        if q & 0x80: q ^= 0x09
        rot = lambda n: (q << n | q >> 8 - n) & 0xFF
        box[p] = q ^ rot(1) ^ rot(2) ^ rot(3) ^ rot(4) ^ 0x63
        if p == 1: break
    box[0] = 0x63
    return box

SBOX = _sbox()
xtime = lambda b: (b << 1) ^ (0x11B if b & 0x80 else 0)

def expand(key):
    w = [list(key[i:i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        t = w[-1]
        if i % 8 == 0:
            t = [SBOX[b] for b in t[1:] + t[:1]]
            t[0] ^= rcon; rcon = xtime(rcon)
        elif i % 8 == 4:
            t = [SBOX[b] for b in t]
        w.append([a ^ b for a, b in zip(w[-8], t)])
    return [sum(w[i:i + 4], []) for i in range(0, 60, 4)]

def aes(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for rnd, key in enumerate(keys[1:], 1):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]  # SubBytes and ShiftRows
        if rnd < 14:
            m = []
            for c in range(0, 16, 4):
                a = s[c:c + 4]
                m += [xtime(a[i]) ^ xtime(a[(i + 1) % 4]) ^ a[(i + 1) % 4] ^ a[(i + 2) % 4] ^ a[(i + 3) % 4] for i in range(4)]
            s = m
        s = [a ^ b for a, b in zip(s, key)]
    return bytes(s)

def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        x, y, v = y ^ int.from_bytes(data[i:i + 16].ljust(16, b"\0"), "big"), 0, h
        for bit in range(127, -1, -1):
            if x >> bit & 1: y ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return y

def gcm_open(key, nonce, sealed, aad):
    if len(sealed) < 16: raise Invalid
    keys, ct, tag = expand(key), sealed[:-16], sealed[-16:]
    block = lambda n: aes(keys, nonce + n.to_bytes(4, "big"))
    pad = lambda b: b + bytes(-len(b) % 16)
    h = int.from_bytes(aes(keys, bytes(16)), "big")
    s = ghash(h, pad(aad) + pad(ct) + (8 * len(aad)).to_bytes(8, "big") + (8 * len(ct)).to_bytes(8, "big"))
    want = bytes(a ^ b for a, b in zip(s.to_bytes(16, "big"), block(1)))
    if not hmac.compare_digest(want, tag): raise Invalid
    stream = b"".join(block(i) for i in range(2, 2 + (len(ct) + 15) // 16))
    return bytes(a ^ b for a, b in zip(ct, stream))


# --- The format of docs/cryptography.md --------------------------------------------------------------------------------------

def parse(blob):
    if not 102 < len(blob) <= 102 + 4096 or blob[:4] != b"TRN\x01" or blob[4] > 1: raise Invalid
    account, digits = int.from_bytes(blob[5:10], "big"), blob[10:26].hex()
    if account >= 10**12: raise Invalid
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return {"account": f"{account:012d}", "keyId": "mrk-" + digits if blob[4] else uuid, "keyMaterialId": blob[26:58].hex()}

def kdf_input(blob):
    return b"\0\0\0\x01" + b"trent/message/1" + b"\0" + blob[:74] + (256).to_bytes(4, "big")

def associated_data(header, context):
    sized = lambda s: len(s).to_bytes(4, "big") + s
    pairs = sorted((k.encode(), v.encode()) for k, v in context.items())
    return header + len(pairs).to_bytes(4, "big") + b"".join(sized(k) + sized(v) for k, v in pairs)

def open_message(blob, context, material=None, message_key=None):
    parse(blob)
    key = message_key or hmac.new(material, kdf_input(blob), hashlib.sha256).digest()
    return gcm_open(key, blob[74:86], blob[86:], associated_data(blob[:74], context))

def open_secret(sealed, binding, domain_key):
    if len(sealed) <= 48 or sealed[:4] != b"TRS\x01": raise Invalid
    header, label = sealed[:20], b"trent/secret/1"
    framed = bytes([len(label)]) + label + b"\0\0\0\x01" + header + (256).to_bytes(4, "big")
    return gcm_open(hmac.new(domain_key, framed, hashlib.sha256).digest(), sealed[20:32], sealed[32:], header + binding)


# --- Commands ----------------------------------------------------------------------------------------------------------------

def check_vectors(path):
    v = json.load(open(path, encoding="utf-8"))
    b64, unhex = base64.b64decode, bytes.fromhex
    for m in v["messages"]:
        blob = b64(m["blob"])
        assert open_message(blob, m["encryptionContext"], unhex(m["material"])) == unhex(m["plaintext"]), m["name"]
        assert parse(blob) == {k: m[k] for k in ("account", "keyId", "keyMaterialId")}, m["name"]
    for m in v["invalid"]:
        try: open_message(b64(m["blob"]), m["encryptionContext"], unhex(m["material"]))
        except Invalid: continue
        raise AssertionError("opened: " + m["name"])
    for s in v["secrets"]:
        assert open_secret(b64(s["sealed"]), unhex(s["binding"]), unhex(s["domainKey"])) == unhex(s["secret"]), s["name"]
    return f"{len(v['messages'])} messages, {len(v['invalid'])} invalid blobs, {len(v['secrets'])} secrets: ok"

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("command", choices=("show", "open", "vectors"))
    p.add_argument("argument", metavar="BLOB or FILE")
    p.add_argument("--material", type=bytes.fromhex)
    p.add_argument("--message-key", type=bytes.fromhex)
    p.add_argument("--context", type=json.loads, default={})
    a = p.parse_args()
    if a.command == "vectors": return print(check_vectors(a.argument))
    blob = base64.b64decode(sys.stdin.read() if a.argument == "-" else a.argument)
    try:
        if a.command == "show": return print(json.dumps(parse(blob) | {"kdfInput": kdf_input(blob).hex()}, indent=2))
        if not (a.material or a.message_key): p.error("open needs --material or --message-key")
        sys.stdout.buffer.write(open_message(blob, a.context, a.material, a.message_key))
    except Invalid:
        sys.exit("not valid: the blob, the key or the encryption context is wrong")

if __name__ == "__main__":
    main()
