/**
 * How the checks below an attestor answer: a value, or a refusal in the very shape of a {@link Verdict}, so
 * that it travels up unchanged. Details are made of our own words and numbers, never of the evidence's text.
 */
import type { Rejection } from '../attestor.ts'

export type Refusal = { ok: false; rejection: Rejection; detail: string }
export type Checked<T> = { ok: true; value: T } | Refusal

export function accept<T>(value: T): Checked<T> {
  return { ok: true, value }
}

export function refuse(rejection: Rejection, detail: string): Refusal {
  return { ok: false, rejection, detail }
}
