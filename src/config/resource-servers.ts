/**
 * `resource-servers/*.yaml`: who may introspect. Each authenticates with its name and a secret of its own,
 * and sees tokens of its own audience only.
 */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { type Parsed, parseShape } from './parse-shape.ts'
import type { Problem } from './problem.ts'
import { type Folder, type NamedFile, nameProblems } from './read-files.ts'
import { lineShape, nameShape, sha256Shape } from './shapes.ts'

export type ResourceServer = {
  name: string
  audience: string
  /** SHA-256, 64 hex digits, of a client secret of at least 256 random bits: no slow hash is needed for one. */
  secret_sha256: string
}

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** @param name what one may be called here */
export const resourceServerShape = (name: z.ZodType<string>): z.ZodType<ResourceServer> =>
  z.strictObject({
    name,
    audience: lineShape(LIMITS.audienceChars).regex(/^\S+$/, 'expected an audience without white space'),
    secret_sha256: sha256Shape.refine(
      digest => digest !== emptySha256,
      'expected the digest of a secret; this is the digest of nothing',
    ),
  })

export function parseResourceServers(
  folder: Folder,
  settings: { public_url: string },
): Parsed<ResourceServer[]> {
  const servers = parseResourceServerFiles(folder.files, {
    ...settings,
    shape: resourceServerShape(nameShape),
  })
  if (servers.ok && folder.problems.length === 0) return servers
  return { ok: false, problems: [...folder.problems, ...(servers.ok ? [] : servers.problems)] }
}

/** @param others those that stand beside these */
export function parseResourceServerFiles(
  files: readonly NamedFile[],
  given: { public_url: string; shape: z.ZodType<ResourceServer>; others?: readonly ResourceServer[] },
): Parsed<ResourceServer[]> {
  const { public_url: publicUrl, shape, others = [] } = given
  const problems: Problem[] = []
  const servers: ResourceServer[] = []
  for (const named of files) {
    const { file } = named
    problems.push(...nameProblems(named))
    const parsed = parseShape(file, shape, file.value)
    if (!parsed.ok) {
      problems.push(...parsed.problems)
      continue
    }
    const server = parsed.value
    if (server.audience === publicUrl) {
      problems.push(file.problem(['audience'], 'expected another audience than the broker’s own public_url'))
    }
    if ([...others, ...servers].some(other => other.secret_sha256 === server.secret_sha256)) {
      const expected = 'expected a secret that no other resource server has'
      problems.push(file.problem(['secret_sha256'], expected, 'Make a new one'))
    }
    servers.push(server)
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: servers }
}
