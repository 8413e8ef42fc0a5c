/** Every issuer type the broker knows. A new one is a file, a test, and a line here. */
import { awsSts } from './aws-sts.ts'
import { githubApp } from './github-app.ts'
import { httpIssuer } from './http.ts'
import type { IssuerType } from './issuer.ts'
import { signedJwt } from './signed-jwt.ts'

export const issuerTypes: readonly IssuerType[] = [githubApp, awsSts, signedJwt, httpIssuer]
