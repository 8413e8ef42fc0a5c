/** The name of the claim on the document of one group of leases. */
export const groupPrefix = 'group/'

export function groupClaim(issuer: string, group: string): string {
  return `${groupPrefix}${issuer}/${group}`
}

/** Instance names have no slash. */
export function groupOf(claim: string): { issuer: string; group: string } {
  const name = claim.slice(groupPrefix.length)
  const slash = name.indexOf('/')
  return { issuer: name.slice(0, slash), group: name.slice(slash + 1) }
}
