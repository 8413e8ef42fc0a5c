import type { Declared } from '../policy/facts.ts'

/** What a request says of its sender, for a use case to be spread into; nothing where it says nothing. */
export function declaredOf({
  confidence,
  urgency,
}: {
  confidence?: number | undefined
  urgency?: Declared['urgency'] | undefined
}): { declared?: Declared } {
  if (confidence === undefined && urgency === undefined) return {}
  return {
    declared: {
      ...(confidence === undefined ? {} : { confidence }),
      ...(urgency === undefined ? {} : { urgency }),
    },
  }
}
