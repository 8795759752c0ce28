import { Bytes, parse } from "weft";

/** The powers of ten that matter here; a double holds them exactly. */
const POWERS: StaticArray<f64> = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/**
 * The number whose text lies from `at` to `end`; NaN if it is a value of another
 * kind. Up to 15 digits without an exponent are exact in one division; the rest
 * goes the long way.
 */
export function numberAt(at: usize, end: usize): f64 {
  if (end - at > 15) return long(at, end);
  const from = at;
  const negative = load<u8>(at) == 0x2d;
  if (negative) at++;
  let n: u64 = 0;
  let point: usize = 0;
  for (; at < end; at++) {
    const c = load<u8>(at);
    const d = <u32>c - 0x30;
    if (d < 10) n = n * 10 + d;
    else if (c == 0x2e && point == 0) point = at;
    else return long(from, end);
  }
  let value = <f64>n;
  if (point != 0) value /= unchecked(POWERS[<i32>(end - point) - 1]);
  return negative ? -value : value;
}

function long(at: usize, end: usize): f64 {
  return parse(Bytes.of(at, <i32>(end - at))).f64();
}
