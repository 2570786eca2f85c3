// Command chaos breaks a real cluster in every way that one machine allows, and checks what its clients saw: see docs/chaos.md.
// make chaos runs it.
package main
