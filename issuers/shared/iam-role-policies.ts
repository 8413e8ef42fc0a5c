/** The inline policies of one role, through client-iam: read whole, and changed one at a time. */
import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { type IssuerDeps, ProviderUnavailable } from '../issuer.ts'
import { type AwsFailure, failureKind } from './aws-failure.ts'
import { type AwsKeys, fetchHandler, pinSigningDate } from './sts-client.ts'

/** AWS's word that it will not be so, and why, for an operator. */
export class IamRefused extends Error {
  override name = 'IamRefused'
}

/** A role has few: AWS gives them 10,240 characters. */
const MOST_POLICIES = 1_000

export type RolePolicies = {
  roleId(): Promise<string>
  /** Every inline policy, by name. */
  read(): Promise<Map<string, string>>
  /** @throws IamRefused, also where the role's policies would be too long. */
  put(name: string, document: string): Promise<void>
  remove(name: string): Promise<void>
  close(): void
}

/** Every method throws {@link IamRefused} or ProviderUnavailable. */
export function rolePolicies(
  where: { region: string; endpoint: string | undefined },
  roleArn: string,
  keys: AwsKeys,
  deps: IssuerDeps,
): RolePolicies {
  const client = new IAMClient({
    region: where.region,
    ...(where.endpoint !== undefined && { endpoint: where.endpoint }),
    credentials: keys,
    // The pass that asked is made again as a whole, later.
    maxAttempts: 1,
    customUserAgent: deps.userAgent,
    requestHandler: fetchHandler(deps.fetch),
  })
  pinSigningDate(client, deps.now)
  const RoleName = roleArn.slice(roleArn.lastIndexOf('/') + 1)
  const ask = async <Answer>(what: string, call: Promise<Answer>): Promise<Answer> => {
    try {
      return await call
    } catch (error) {
      throw told(error as AwsFailure, `${what} of ${roleArn}`)
    }
  }
  return {
    async roleId() {
      const { Role } = await ask('read the id', client.send(new GetRoleCommand({ RoleName })))
      if (!Role?.RoleId) throw new ProviderUnavailable('the answer of AWS IAM cannot be read')
      return Role.RoleId
    },
    async read() {
      const policies = new Map<string, string>()
      for (const PolicyName of await names(Marker =>
        ask(
          'list the policies',
          client.send(new ListRolePoliciesCommand({ RoleName, ...(Marker !== undefined && { Marker }) })),
        ),
      )) {
        const command = new GetRolePolicyCommand({ RoleName, PolicyName })
        const answer = await ask('read a policy', client.send(command)).catch(ifGone)
        if (answer?.PolicyDocument !== undefined) policies.set(PolicyName, decoded(answer.PolicyDocument))
      }
      return policies
    },
    async put(PolicyName, PolicyDocument) {
      await ask(
        'write a policy',
        client.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument })),
      )
    },
    async remove(PolicyName) {
      const command = new DeleteRolePolicyCommand({ RoleName, PolicyName })
      await ask('delete a policy', client.send(command)).catch(ifGone)
    },
    close: () => client.destroy(),
  }
}

type Page = {
  PolicyNames?: string[] | undefined
  IsTruncated?: boolean | undefined
  Marker?: string | undefined
}

async function names(list: (marker: string | undefined) => Promise<Page>): Promise<string[]> {
  const found: string[] = []
  let marker: string | undefined
  do {
    const page = await list(marker)
    found.push(...(page.PolicyNames ?? []))
    marker = page.IsTruncated === true ? page.Marker : undefined
  } while (marker !== undefined && found.length < MOST_POLICIES)
  return found
}

/** Gone between two calls, or never there. */
function ifGone(error: unknown): undefined {
  if (error instanceof IamRefused && failureKind(error.cause as AwsFailure) === 'not_found') return undefined
  throw error
}

function told(error: AwsFailure, what: string): Error {
  const kind = failureKind(error)
  const name = error.name ?? 'unknown failure'
  if (kind === 'not_permitted') {
    return new IamRefused(`AWS does not let the broker ${what} (${name})`, { cause: error })
  }
  if (kind === 'not_found') return new IamRefused(`AWS does not find what it is to ${what}`, { cause: error })
  if (kind === 'rejected') return new IamRefused(`AWS refuses to ${what} (${name})`, { cause: error })
  if (kind === 'own_sign_in') {
    return new ProviderUnavailable(`AWS refused the broker's own credentials (${name})`)
  }
  return new ProviderUnavailable(`AWS IAM gave no usable answer (${name})`, {
    ...(kind === 'throttled' && { retryAfterMs: 5_000 }),
  })
}

/** IAM sends documents URL-encoded (RFC 3986). */
function decoded(document: string): string {
  return document.startsWith('%7B') ? decodeURIComponent(document) : document
}
