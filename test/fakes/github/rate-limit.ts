/** GitHub's primary rate limit: so many calls an hour for each App, installation, or caller without either. */
import { GithubRefusal } from './answer.ts'

/** Calls in one hour, and the status GitHub answers beyond them (it uses both). */
export type Limits = {
  appPerHour: number
  installationPerHour: number
  anonymousPerHour: number
  exceededStatus: 403 | 429
}

export const githubLimits: Limits = {
  appPerHour: 5000,
  installationPerHour: 5000,
  anonymousPerHour: 60,
  exceededStatus: 403,
}

/** Who a call counts against. */
export type Bucket = { kind: 'app' | 'installation'; id: number } | { kind: 'anonymous' }

export type RateLimit = {
  /** Counts one call. @returns the headers of its answer, and the refusal when it is one too many */
  count(bucket: Bucket, limits: Limits): { headers: Record<string, string>; exceeded?: GithubRefusal }
}

const windowMs = 3_600_000

export function createRateLimit(now: () => number): RateLimit {
  const windows = new Map<string, { used: number; resetAt: number }>()
  return {
    count(bucket, limits) {
      const key = bucket.kind === 'anonymous' ? bucket.kind : `${bucket.kind} ${bucket.id}`
      let window = windows.get(key)
      if (window === undefined || now() >= window.resetAt) {
        window = { used: 0, resetAt: now() + windowMs }
        windows.set(key, window)
      }
      const limit = limits[`${bucket.kind}PerHour`]
      const exceeded = window.used >= limit
      if (!exceeded) window.used += 1
      const headers = {
        'x-ratelimit-limit': String(limit),
        'x-ratelimit-remaining': String(Math.max(0, limit - window.used)),
        'x-ratelimit-used': String(window.used),
        'x-ratelimit-reset': String(Math.ceil(window.resetAt / 1000)),
        'x-ratelimit-resource': 'core',
      }
      if (!exceeded) return { headers }
      const message = `API rate limit exceeded for ${tell(bucket)}.`
      return { headers, exceeded: new GithubRefusal(limits.exceededStatus, message) }
    },
  }
}

function tell(bucket: Bucket): string {
  if (bucket.kind === 'anonymous') return '127.0.0.1'
  return bucket.kind === 'app' ? `app ID ${bucket.id}` : `installation ID ${bucket.id}`
}
