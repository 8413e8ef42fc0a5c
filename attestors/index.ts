/** The attestors that come with Mayfly. A new one is a file, a test and a line here. */
import type { AttestorType } from './attestor.ts'
import { awsWebIdentity } from './aws-web-identity.ts'
import { githubActions } from './github-actions.ts'
import { gitlabCi } from './gitlab-ci.ts'
import { googleCloud } from './google-cloud.ts'
import { kubernetes } from './kubernetes.ts'
import { laptop } from './laptop.ts'
import { oidc } from './oidc.ts'
import { signedStatement } from './signed-statement.ts'
import { slsaProvenance } from './slsa-provenance.ts'
import { spiffeJwt } from './spiffe-jwt.ts'
import { spiffeX509 } from './spiffe-x509.ts'

export const attestorTypes: readonly AttestorType[] = [
  ...[oidc, githubActions, gitlabCi, kubernetes, googleCloud, awsWebIdentity, spiffeJwt, spiffeX509, laptop],
  ...[signedStatement, slsaProvenance],
]
