package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// report prints tables as aligned text and, if a file is named, as Markdown to it.
type report struct {
	out      io.Writer
	markdown string // file; "" for none
	err      error  // of the first write that failed
}

// table is one table of results. The first column is text, the others are numbers.
type table struct {
	title string
	notes []string // lines under the table
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// note adds a line under the table.
func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (r *report) print(t *table) { r.write(t.text(), t.asMarkdown()) }

// line prints a line of text.
func (r *report) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	r.write(text, "\n"+text)
}

func (r *report) write(text, markdown string) {
	_, err := io.WriteString(r.out, text)
	r.err = errors.Join(r.err, err)
	if r.markdown == "" {
		return
	}
	f, err := os.OpenFile(r.markdown, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	_, err = io.WriteString(f, markdown)
	r.err = errors.Join(r.err, err, f.Close())
}

// widths are the columns' widths in characters.
func (t *table) widths() []int {
	w := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			w[i] = max(w[i], utf8.RuneCountInString(cell))
		}
	}
	return w
}

func (t *table) text() string {
	var b strings.Builder
	w := t.widths()
	fmt.Fprintf(&b, "\n%s\n\n", t.title)
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			pad := strings.Repeat(" ", w[i]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				b.WriteString("  " + cell + pad)
			default:
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	for _, n := range t.notes {
		fmt.Fprintf(&b, "\n  %s\n", n)
	}
	return b.String()
}

func (t *table) asMarkdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n| %s |\n|---|%s\n", t.title, strings.Join(t.head, " | "), strings.Repeat("---:|", len(t.head)-1))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	for _, n := range t.notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}
