/**
 * Settings of git and AWS, judged: do they lead to the socket of this server? Pure. What is configured is not
 * quoted: a helper's line may hold anything.
 */

export type Reached = {
  socket: string
  home: string | undefined
  /** MAYFLY_SOCKET as this process has it: clients that give it to their servers give it to their commands, too. */
  inherited: string | undefined
}

const GUIDE = 'docs/mcp.md says how'

type GitJudged = { ready: boolean; says: string }

/** @param listing of `git config --null --list`; undefined where there is no git */
export function judgeGit(listing: string | undefined, provider: string, reached: Reached): GitJudged {
  const no = (says: string): GitJudged => ({ ready: false, says })
  if (listing === undefined) return no('its settings cannot be read here')
  const settings = credentialSettings(listing, provider)
  const [first, ...more] = helpersOf(settings)
  const ours = [first, ...more].find(isOurs)
  if (ours === undefined) return no(`mayfly git-credential is not its helper for ${provider}; ${GUIDE}`)
  if (first !== ours)
    return no(`another helper is asked first for ${provider}, and would keep what it is told; ${GUIDE}`)
  if (settings.findLast(({ name }) => name === 'usehttppath')?.value !== 'true')
    return no(`credential.useHttpPath is not true for ${provider}; ${GUIDE}`)
  const problem = reaches(ours, reached)
  return problem === undefined
    ? { ready: true, says: `works as it is on ${provider}` }
    : no(`its helper is mayfly's, and ${problem}; ${GUIDE}`)
}

type Setting = { name: string; value: string }

/** Those of `credential.*` and of `credential.<url>.*` where the URL is of that host, in the order of git. */
function credentialSettings(listing: string, provider: string): Setting[] {
  return listing.split('\0').flatMap(entry => {
    const [key = '', ...value] = entry.split('\n')
    const [, scope, name] = /^credential\.(?:(.+)\.)?([a-z]+)$/is.exec(key) ?? []
    if (name === undefined) return []
    const isHere = scope === undefined || URL.parse(scope)?.hostname === provider.toLowerCase()
    return isHere ? [{ name: name.toLowerCase(), value: value.join('\n') }] : []
  })
}

/** An empty one takes away those before it. */
function helpersOf(settings: readonly Setting[]): string[] {
  const all = settings.filter(({ name }) => name === 'helper').map(({ value }) => value)
  return all.slice(all.lastIndexOf('') + 1)
}

const isOurs = (helper: string | undefined) =>
  helper !== undefined && /\bmayfly\b.*\bgit-credential\b/s.test(helper)

export type AwsSetting = { path: string; text: string }
type AwsJudged = { ready: boolean; profiles: string[]; says: string }

/** @param setting the shared configuration file, empty where there is none */
export function judgeAws(setting: AwsSetting | undefined, reached: Reached): AwsJudged {
  const { path, text } = setting ?? { path: '~/.aws/config', text: '' }
  const ours = profilesOf(text).filter(({ process }) => /\bmayfly\b.*\baws-credentials\b/.test(process))
  const ready = ours.filter(({ process }) => reaches(process, reached) === undefined)
  const profiles = ready.map(({ name }) => name)
  if (profiles.length > 0)
    return { ready: true, profiles, says: `works with the profile ${profiles.join(' or ')}` }
  const [one] = ours
  const says =
    one === undefined
      ? `no profile in ${path} has mayfly aws-credentials as its credential_process; ${GUIDE}`
      : `the profile ${one.name} is mayfly's, and ${reaches(one.process, reached)}; ${GUIDE}`
  return { ready: false, profiles, says }
}

function profilesOf(text: string): { name: string; process: string }[] {
  let name: string | undefined
  return text.split(/\r?\n/).flatMap(line => {
    const [, section] = /^\s*\[\s*(.+?)\s*\]/.exec(line) ?? []
    if (section !== undefined) {
      name = section === 'default' ? section : /^profile\s+"?([\w.@-]+)"?$/.exec(section)?.[1]
      return []
    }
    const [, process] = /^\s*credential_process\s*=\s*(.+)$/.exec(line) ?? []
    return process === undefined || name === undefined ? [] : [{ name, process }]
  })
}

/** What keeps a command line from this server; undefined where nothing does. */
function reaches(command: string, { socket, home, inherited }: Reached): string | undefined {
  const [, set] = /\bMAYFLY_SOCKET=("[^"]*"|'[^']*'|\S+)/.exec(command) ?? []
  if (set !== undefined)
    return expanded(set, home) === socket ? undefined : 'it names another socket than that of this server'
  return inherited === socket
    ? undefined
    : `it finds this server only where commands have MAYFLY_SOCKET=${socket}`
}

/** As a shell would have it, as far as homes go. */
function expanded(word: string, home = ''): string {
  const plain = word.replaceAll(/^["']|["']$/g, '')
  return word.startsWith("'") ? plain : plain.replace(/^~(?=\/)|\$HOME\b|\$\{HOME\}/, home)
}
