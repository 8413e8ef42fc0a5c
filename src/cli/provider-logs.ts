import { type ProviderLogEntry, ProviderLogError } from '../provider-logs/entry.ts'
import { readProviderLog } from '../provider-logs/read-provider-log.ts'
import { CLI_LIMITS } from './limits.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

export type ProviderLogOptions = { githubAudit?: string; cloudtrail?: string }

/** The providers' own accounts, out of the files that were named. @throws CommandError */
export async function readProviderLogs(
  terminal: Pick<Terminal, 'readFile'>,
  { githubAudit, cloudtrail }: ProviderLogOptions,
): Promise<ProviderLogEntry[]> {
  const entries: ProviderLogEntry[] = []
  for (const path of [githubAudit, cloudtrail]) {
    if (path === undefined) continue
    const { text } = await terminal.readFile(path, CLI_LIMITS.providerLogBytes).catch(cause => {
      throw new CommandError(`${path} cannot be read (${errorCode(cause)})`, { cause })
    })
    try {
      entries.push(...readProviderLog(text))
    } catch (error) {
      if (error instanceof ProviderLogError) throw new CommandError(`${path}: ${error.message}`)
      throw error
    }
  }
  return entries.sort((a, b) => a.at - b.at)
}
