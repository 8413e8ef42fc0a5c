/** So many a minute, evenly: what was not used in the last minute may be used at once. */
export class RateBudget {
  readonly #perMinute: number
  readonly #now: () => number
  #tokens: number
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
    this.#at = now
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * 60_000) / this.#perMinute)
    this.#tokens -= 1
    return 0
  }
}
