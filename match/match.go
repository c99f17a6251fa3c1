// Package match says when two texts are held to be the same: addresses (R1), an ASCII export beside what it was
// made from (R9), names of sites (R14).
//
// Everything here is a pure function of its arguments. What it returns is stored and compared byte by byte, in memory and in
// the database alike, so that no database's idea of equality ever decides who is who. The plain case, which
// is nearly every row of a large file, is recognized first and costs no memory.
package match
