/** Whose policy is meant: `owner/repository`, or `owner` alone for its organization's own. Pure. */
import { ownerShape, repositoryPartShape } from '../config/octo-sts.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'

export type Scope = { owner: string; repository: string; isOrganization: boolean }

/** Names that go into a path at the provider: each part is held to its form before. @throws StsRefusal */
export function readScope(text: string, organizationRepository: string): Scope {
  if (text === '') throw new StsRefusal(GRPC.invalidArgument, 'scope must be provided')
  const [owner = '', repository, ...more] = text.split('/')
  const isOrganization = repository === undefined
  const isName =
    ownerShape.safeParse(owner).success &&
    (isOrganization || repositoryPartShape.safeParse(repository).success) &&
    more.length === 0
  if (!isName)
    throw new StsRefusal(
      GRPC.invalidArgument,
      'scope must be OWNER/REPOSITORY, or OWNER for its organization-wide policies',
    )
  return { owner, repository: repository ?? organizationRepository, isOrganization }
}

/** @throws StsRefusal */
export function readIdentity(identity: string): string {
  if (identity === '') throw new StsRefusal(GRPC.invalidArgument, 'identity must be provided')
  if (IDENTITY.test(identity)) return identity
  throw new StsRefusal(
    GRPC.invalidArgument,
    'identity must be the name of a file in .github/chainguard without .sts.yaml: letters, digits, dots, dashes, underscores',
  )
}
const IDENTITY = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}(?:\.[A-Za-z0-9_-]{1,127}){0,8}$/

export function policyPath(identity: string): string {
  return `.github/chainguard/${identity}.sts.yaml`
}
