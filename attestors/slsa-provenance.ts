/**
 * Attests what an image was built from, by its signed SLSA provenance (https://slsa.dev/provenance/v1): a Sigstore
 * bundle as GitHub's artifact attestations and npm's provenance are. It is posture, and proves only together with a
 * statement of somebody else that this image is what runs (`digest_claim`).
 *
 * - The certificate says who built: the OIDC issuer, the repository by its id, the workflow. It is pinned in the
 *   settings, and nothing of the predicate is taken for that: the workflow itself wrote it.
 * - A bundle is published beside the image. It is no secret and comes as often as somebody has it.
 */
import { z } from 'zod'
import { type Attestor, type ClaimValue, defineAttestor, type Verdict } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { LEEWAY_S } from './shared/claims.ts'
import { issuerUrl } from './shared/settings.ts'
import {
  readBundle,
  readStatement,
  type SignedBundle,
  type Signer,
  type Statement,
} from './shared/sigstore-bundle.ts'
import { openSigstoreRoots } from './shared/sigstore-roots.ts'
import { isJsonObject, type JsonValue, member } from './shared/strict-json.ts'
import { shown, tell, timeShown } from './shared/tell.ts'
import { isText } from './shared/typed-issuer.ts'

const DAY_MS = 86_400_000
const MAX_WORKFLOWS = 64

const id = z.string().regex(/^[1-9]\d{0,19}$/, 'must be the number of it, in quotes')
const witnesses = z.int().min(0).max(4)

const settings = z
  .strictObject({
    /** The trusted root, or several, one on each line: gh attestation trusted-root > trusted_root.jsonl */
    trusted_root_file: z.string().min(1),
    /** The OIDC issuer of the builds that are taken, as Fulcio wrote it into the certificate. */
    issuer: issuerUrl.default('https://token.actions.githubusercontent.com'),
    /** The repository that was built, by its number: names are given away again. */
    repository_id: id.optional(),
    /** The owner of the repository, by its number. */
    owner_id: id.optional(),
    /**
     * Workflows that may have built it, as the certificate's subject alternative name has them:
     * `https://github.com/acme/agent/.github/workflows/release.yml`, with `@refs/heads/main` behind it for one ref
     * alone.
     */
    workflows: z.array(z.url().max(2048)).min(1).max(MAX_WORKFLOWS).optional(),
    /** Such as `github-hosted`: whoever has a runner of their own builds what they like. */
    runner_environment: z.string().min(1).max(256).optional(),
    predicate_type: z.url().max(512).default('https://slsa.dev/provenance/v1'),
    /** Which digest of the subject counts; it is told as `sha256:…`. */
    digest_algorithm: z.enum(['sha256', 'sha512']).default('sha256'),
    /** The claim that says what runs, and must be this image's digest: `sandbox.image_digest`. */
    digest_claim: z.string().min(1).max(256),
    /** GitHub signs what private repositories build with a timestamp alone: 0 log entries, 0 certificate logs. */
    log_entries: witnesses.default(1),
    timestamps: witnesses.min(1).default(1),
    certificate_logs: witnesses.default(1),
    /** An image that was built longer ago is to be built again. */
    max_age_days: z.int().min(1).max(3650).default(90),
  })
  .refine(chosen => (chosen.repository_id ?? chosen.owner_id ?? chosen.workflows) !== undefined, {
    path: ['repository_id'],
    message: 'or owner_id or workflows must say whose builds are taken: the issuer vouches for everybody’s',
  })

type Settings = z.infer<typeof settings>

/** What the certificate says, by the last number of Fulcio's OIDs. */
const SAID = {
  job_workflow_ref: 9,
  runner_environment: 11,
  repository: 12,
  source_digest: 13,
  source_ref: 14,
  repository_id: 15,
  owner_id: 17,
  workflow_ref: 18,
  trigger: 20,
} as const

const CLAIM_TYPES = Object.fromEntries(
  ['image_digest', 'builder_id', ...Object.keys(SAID)].map(name => [name, 'string' as const]),
)

export const slsaProvenance = defineAttestor({
  type: 'slsa-provenance',
  settings,
  rules: () => ({ claimTypes: CLAIM_TYPES, posture: true }),
  open(chosen, deps): Attestor {
    const roots = openSigstoreRoots(
      chosen.trusted_root_file,
      {
        ...{ logEntries: chosen.log_entries, timestamps: chosen.timestamps },
        certificateLogs: chosen.certificate_logs,
      },
      deps,
    )
    return {
      posture: true,
      claimTypes: CLAIM_TYPES,
      recognises(evidence) {
        const bundle = readBundle(evidence)
        return bundle.ok && bundle.value.signer.issuer === chosen.issuer
      },
      isFor(evidence) {
        const bundle = readBundle(evidence)
        return bundle.ok && judgeSigner(bundle.value.signer, chosen).ok
      },
      takes: { issuer: chosen.issuer },
      async attest(evidence, observe): Promise<Verdict> {
        const bundle = tell(observe, 'form', readBundle(evidence))
        if (!bundle.ok) return bundle
        const { signer, payload } = bundle.value
        const issuer = tell(observe, 'trust_root', checkIssuer(signer, chosen), () => ({
          ...{ expected: shown(chosen.issuer), found: shown(signer.issuer) },
        }))
        if (!issuer.ok) return issuer
        const signed = tell(observe, 'signature', await roots.verify(bundle.value))
        if (!signed.ok) return signed
        const judged = tell(observe, 'signer', judgeSigner(signer, chosen), () => ({
          found: shown(signer.name),
        }))
        if (!judged.ok) return judged
        const age = tell(observe, 'age', checkAge(signed.value, chosen, deps.now()), () => ({
          ...{ expected: `at most ${chosen.max_age_days} days`, found: timeShown(signed.value / 1000) },
        }))
        if (!age.ok) return age
        const claims = tell(observe, 'claims', claimsOf(readStatement(payload), signer, chosen))
        return claims.ok ? proven(bundle.value, signed.value, claims.value, chosen) : claims
      },
    }
  },
})

function proven(
  { signer, id }: SignedBundle,
  signedAtMs: number,
  claims: ProvenanceClaims,
  { issuer, digest_claim: claim, ...chosen }: Settings,
): Verdict {
  return {
    ok: true,
    proof: {
      issuer,
      subject: signer.name ?? '',
      claims,
      about: { claim, value: claims.image_digest },
      replay: { id, singleUse: false, until: endOf(signedAtMs, chosen), issuedAt: signedAtMs },
    },
  }
}

function checkIssuer({ issuer }: Signer, chosen: Settings): Checked<undefined> {
  if (issuer === undefined) return refuse('claim_missing', 'the certificate does not name an OIDC issuer')
  return issuer === chosen.issuer
    ? accept(undefined)
    : refuse('issuer_not_trusted', 'the certificate is of another OIDC issuer than the configured one')
}

/** Whose build it is. Each pin of the settings must be in the certificate, letter for letter. */
function judgeSigner(signer: Signer, chosen: Settings): Checked<undefined> {
  if (signer.isAuthority)
    return refuse('certificate_not_acceptable', 'the certificate is an authority’s, and no workflow’s')
  const { name } = signer
  if (name === undefined) return refuse('certificate_not_acceptable', 'the certificate names nobody')
  for (const pin of ['repository_id', 'owner_id', 'runner_environment'] as const) {
    if (chosen[pin] === undefined) continue
    const said = signer.said(SAID[pin])
    if (said === undefined) return refuse('claim_missing', `the certificate says nothing of ${pin}`)
    if (said !== chosen[pin]) return refuse('subject_not_acceptable', `the build is of another ${pin}`)
  }
  const mayBe = chosen.workflows?.some(workflow => name === workflow || name.startsWith(`${workflow}@refs/`))
  return mayBe === false
    ? refuse('subject_not_acceptable', 'the build is of another workflow')
    : accept(undefined)
}

function endOf(signedAtMs: number, { max_age_days: days }: Pick<Settings, 'max_age_days'>): number {
  return signedAtMs + days * DAY_MS + LEEWAY_S * 1000
}

function checkAge(signedAtMs: number, chosen: Settings, nowMs: number): Checked<undefined> {
  if (signedAtMs - LEEWAY_S * 1000 > nowMs)
    return refuse('not_yet_valid', 'it was signed later than the broker’s clock has it now')
  if (nowMs >= endOf(signedAtMs, chosen))
    return refuse('too_old', `it was signed more than ${chosen.max_age_days} days ago`)
  return accept(undefined)
}

type ProvenanceClaims = Readonly<Record<string, ClaimValue>> & { image_digest: string }

function claimsOf(
  statement: Checked<Statement>,
  signer: Signer,
  { predicate_type: wanted, digest_algorithm: algorithm }: Settings,
): Checked<ProvenanceClaims> {
  if (!statement.ok) return statement
  const { predicateType, predicate, subjects } = statement.value
  if (predicateType !== wanted) return refuse('type_not_allowed', 'the predicate is of another type')
  const [only] = subjects
  if (only === undefined || subjects.length !== 1)
    return refuse('claim_malformed', `it speaks of ${subjects.length} artifacts: attest the image alone`)
  const digest = member(only.digest, algorithm)
  if (digest === undefined) return refuse('claim_missing', `the subject’s ${algorithm}`)
  if (typeof digest !== 'string' || !DIGESTS[algorithm].test(digest))
    return refuse('claim_malformed', `the subject’s ${algorithm} is not one`)
  const said = Object.entries(SAID).map(([name, extension]) => [name, signer.said(extension)] as const)
  const builder = at(predicate, 'runDetails', 'builder', 'id')
  const told = [...said, ['builder_id', isText(builder) && builder !== '' ? builder : undefined] as const]
  const claims = told.filter((entry): entry is [string, string] => entry[1] !== undefined)
  return accept({ ...Object.fromEntries(claims), image_digest: `${algorithm}:${digest}` })
}

const DIGESTS = { sha256: /^[0-9a-f]{64}$/, sha512: /^[0-9a-f]{128}$/ } as const

function at(value: JsonValue | undefined, ...path: string[]): JsonValue | undefined {
  return path.reduce((inner, name) => (isJsonObject(inner) ? member(inner, name) : undefined), value)
}
