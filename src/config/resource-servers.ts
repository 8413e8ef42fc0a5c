/**
 * `resource-servers/*.yaml`: who may introspect. Each authenticates with its name and a secret of its own,
 * and sees tokens of its own audience only.
 */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { type Parsed, parseShape } from './parse-shape.ts'
import type { Problem } from './problem.ts'
import { type Folder, nameProblems } from './read-files.ts'
import { lineShape, nameShape, sha256Shape } from './shapes.ts'

export type ResourceServer = {
  name: string
  audience: string
  /** SHA-256, 64 hex digits, of a client secret of at least 256 random bits: no slow hash is needed for one. */
  secret_sha256: string
}

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const shape: z.ZodType<ResourceServer> = z.strictObject({
  name: nameShape,
  audience: lineShape(LIMITS.audienceChars).regex(/^\S+$/, 'expected an audience without white space'),
  secret_sha256: sha256Shape.refine(
    digest => digest !== emptySha256,
    'expected the digest of a secret; this is the digest of nothing',
  ),
})

export function parseResourceServers(
  folder: Folder,
  { public_url: publicUrl }: { public_url: string },
): Parsed<ResourceServer[]> {
  const problems: Problem[] = [...folder.problems]
  const servers: ResourceServer[] = []
  for (const named of folder.files) {
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
    if (servers.some(other => other.secret_sha256 === server.secret_sha256)) {
      const expected = 'expected a secret that no other resource server has'
      problems.push(file.problem(['secret_sha256'], expected, 'Make a new one'))
    }
    servers.push(server)
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: servers }
}
