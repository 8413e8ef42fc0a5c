/**
 * What every issuer must hold, as a suite. A plugin's test makes an {@link IssuerSubject} and calls
 * {@link describeIssuer}; what is special to the plugin it tests beside that.
 */
import { describe, test } from 'vitest'
import { issuerAskChecks } from './issuer-ask-checks.ts'
import { issuerFaultChecks } from './issuer-fault-checks.ts'
import { issuerGroupChecks } from './issuer-group-checks.ts'
import { issuerLifeChecks } from './issuer-life-checks.ts'
import type { IssuerCheck, IssuerSubject } from './issuer-subject.ts'

export type { IssuerCheck, IssuerSubject, ProviderControls } from './issuer-subject.ts'

/** As plain functions, so that a test can show that each one fails where it should. */
export const issuerChecks: readonly IssuerCheck[] = [
  ...issuerAskChecks,
  ...issuerLifeChecks,
  ...issuerGroupChecks,
  ...issuerFaultChecks,
]

/** Registers every check as one Vitest test, each with a subject of its own. */
export function describeIssuer(name: string, make: () => Promise<IssuerSubject>): void {
  describe(`${name} conforms`, () => {
    for (const { name: title, needless, run } of issuerChecks) {
      test(title, async context => {
        const subject = await make()
        try {
          const reason = needless?.(subject)
          if (reason !== undefined) context.skip(reason)
          await run(subject)
        } finally {
          await subject.close()
        }
      })
    }
  })
}
