import { z } from 'zod'
import { type AttestorType, defineAttestor } from '../../attestors/attestor.ts'
import { githubActions } from '../../attestors/github-actions.ts'
import { defineIssuer, type Issuer, type IssuerType } from '../../issuers/issuer.ts'
import type { AskSchemas, LoadedSettings } from '../../src/config.ts'

const unused = () => {
  throw new Error('configuration opens nothing and calls nothing')
}

const attestor = (type: string) =>
  defineAttestor({ type, settings: z.strictObject({ audience: z.string().min(1) }), open: unused })

/** The real one's settings would go out for keys; what it says of rules is its own. */
const github: AttestorType = { ...attestor('github-actions'), rules: () => githubActions.rules!({}) }
export const attestorTypes: readonly AttestorType[] = [github, attestor('fake')]

const settings = z.strictObject({
  nested: z.strictObject({ list: z.array(z.strictObject({ id: z.int().positive() })) }),
})
export const fakeAsk = z.strictObject({ scope: z.enum(['read', 'write']) })
export const issuerTypes: readonly IssuerType[] = [
  defineIssuer({ type: 'fake', settings, open: (): Issuer<{ scope: string }> => unused() }),
]

export const types = { attestorTypes, issuerTypes }

/** Every configured issuer takes `{ scope: read | write }`. */
export function openIssuers({ settings }: LoadedSettings): AskSchemas {
  return new Map(Object.keys(settings.issuers).map(name => [name, { ask: fakeAsk }]))
}
