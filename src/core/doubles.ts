// How numbers that outgrow a small integer are kept: LSNs, positions, sums of bytes, times.
//
// V8 lays out an object by the numbers its fields have had. A field that was a small integer (31 bits) until the first larger number or
// fraction comes is laid out anew then, and all machine code that knew the old layout is thrown away. For sums of bytes that moment is
// 2 GiB after the start, for LSNs that were read from a log or a frame the first such LSN: fifty functions, a third of a second to compile.

/** Zero in a field that is a double from the start. It equals 0: only its sign differs, until the first number is added. */
export const DOUBLE_ZERO = -0;
