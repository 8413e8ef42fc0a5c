/** The attestors that come with Mayfly. A new one is a file, a test and a line here. */
import type { AttestorType } from './attestor.ts'
import { githubActions } from './github-actions.ts'
import { oidc } from './oidc.ts'
import { spiffeJwt } from './spiffe-jwt.ts'

export const attestorTypes: readonly AttestorType[] = [oidc, githubActions, spiffeJwt]
