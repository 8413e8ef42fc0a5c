/**
 * So many a minute, evenly: what was not used in the last minute may be used at once. Whoever is refused is told
 * a time of its own, so that a crowd does not come back all at once.
 */
export class RateBudget {
  readonly #perMinute: number
  readonly #now: () => number
  #tokens: number
  /** Who was refused, and is not due back yet. */
  #waiting = 0
  #at: number

  /** `now`: epoch ms. */
  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute
    this.#now = now
    this.#tokens = perMinute
    this.#at = now()
  }

  /** Takes one. @returns 0, or how long to wait for one, ms. */
  take(): number {
    const now = this.#now()
    const earned = (Math.max(0, now - this.#at) * this.#perMinute) / 60_000
    this.#tokens = Math.min(this.#perMinute, this.#tokens + earned)
    this.#waiting = Math.max(0, this.#waiting - earned)
    this.#at = now
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    const wait = Math.ceil(((1 - this.#tokens + this.#waiting) * 60_000) / this.#perMinute)
    this.#waiting += 1
    return wait
  }
}
