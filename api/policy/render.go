package policy

import (
	"fmt"
	"strings"
)

// Display tells how a document's principal is shown to a reader: the value that stands in the answer. nil shows all as they
// are.
type Display func(PrincipalRef) string

// AccountARN shows account principals as the ARN of the account (spec 04 KP-07) and everything else as it is.
func AccountARN(partition string) Display {
	return func(ref PrincipalRef) string {
		if ref.Type == AccountPrincipal && isAccount(ref.Value) {
			return rootARN(partition, ref.Account)
		}
		return ref.Value
	}
}

func rootARN(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":root"
}

// Render returns a stored document as GetKeyPolicy does (spec 04 KP-15): pretty-printed, two spaces of indentation, " : "
// between name and value, arrays on one line, order and values as they were put, principals as display shows them. A document
// that was rendered renders to itself.
func Render(document string, display Display) (string, error) {
	root, err := documentTree(document)
	if err != nil {
		return "", err
	}
	if display != nil {
		eachPrincipal(&root, func(n *node, ref PrincipalRef) { n.text = display(ref) })
	}
	var b strings.Builder
	b.Grow(len(document) + len(document)/2)
	writeNode(&b, &root, 0)
	return b.String(), nil
}

// Rewrite replaces principals in a document's text and leaves every other byte as it was put. With it a document can be stored
// with unique ids in the place of ARNs, so that it matches by id without a binding beside it (spec 04 KP-11):
//
//	stored, err := policy.Rewrite(document, uniqueIDOf)   // when put; compiled with ParseStored
//	shown, err := policy.Render(stored, arnOrUniqueIDOf)  // when read
func Rewrite(document string, display Display) (string, error) {
	root, err := documentTree(document)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	done := 0
	eachPrincipal(&root, func(n *node, ref PrincipalRef) {
		value := display(ref)
		if value == ref.Value {
			return
		}
		b.WriteString(document[done:n.start])
		writeString(&b, value)
		done = n.end
	})
	b.WriteString(document[done:])
	return b.String(), nil
}

func documentTree(document string) (node, error) {
	if len(document) > outerLimit {
		return node{}, &TooLargeError{Size: len(document), Limit: outerLimit}
	}
	if err := checkCharacters(document); err != nil {
		return node{}, err
	}
	return parseJSON(document)
}

// eachPrincipal calls f for every principal string of the document that names one, in the order of the text.
func eachPrincipal(root *node, f func(*node, PrincipalRef)) {
	for i := range root.members {
		if root.members[i].name != "Statement" {
			continue
		}
		n := &root.members[i].value
		if n.kind == nodeObject {
			statementPrincipals(n, f)
		}
		for j := range n.elements {
			statementPrincipals(&n.elements[j], f)
		}
	}
}

func statementPrincipals(statement *node, f func(*node, PrincipalRef)) {
	for i := range statement.members {
		m := &statement.members[i]
		if m.name != "Principal" && m.name != "NotPrincipal" {
			continue
		}
		for j := range m.value.members {
			class := &m.value.members[j]
			principalString(class.name, &class.value, f)
			for k := range class.value.elements {
				principalString(class.name, &class.value.elements[k], f)
			}
		}
	}
}

func principalString(class string, n *node, f func(*node, PrincipalRef)) {
	if n.kind != nodeString || class != "AWS" || n.text == "*" {
		return
	}
	if ref, err := ParsePrincipal(n.text); err == nil {
		f(n, ref)
	}
}

// writeNode writes a value; depth counts objects, since arrays stay on their line.
func writeNode(b *strings.Builder, n *node, depth int) {
	switch n.kind {
	case nodeObject:
		writeObject(b, n, depth)
	case nodeArray:
		b.WriteString("[ ")
		for i := range n.elements {
			if i > 0 {
				b.WriteString(", ")
			}
			writeNode(b, &n.elements[i], depth)
		}
		if len(n.elements) > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(']')
	case nodeString:
		writeString(b, n.text)
	case nodeNull:
		b.WriteString("null")
	default:
		b.WriteString(n.text)
	}
}

func writeObject(b *strings.Builder, n *node, depth int) {
	if len(n.members) == 0 {
		b.WriteString("{ }")
		return
	}
	b.WriteString("{\n")
	for i := range n.members {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(strings.Repeat("  ", depth+1))
		writeString(b, n.members[i].name)
		b.WriteString(" : ")
		writeNode(b, &n.members[i].value, depth+1)
	}
	b.WriteByte('\n')
	b.WriteString(strings.Repeat("  ", depth))
	b.WriteByte('}')
}

func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20:
			fmt.Fprintf(b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
