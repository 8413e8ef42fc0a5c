/** Parameters of the AWS query and EC2 protocols: a form with dotted names for lists and structures. */

/** The first value of a parameter, or undefined. */
export type QueryParameters = ReadonlyMap<string, string>

export function readQuery(body: Uint8Array): QueryParameters {
  const parameters = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(Buffer.from(body).toString('utf8'))) {
    if (!parameters.has(name)) parameters.set(name, value)
  }
  return parameters
}

/** `Tags` -> the parameters of `Tags.member.1.*`, `Tags.member.2.*`, ... with the prefix removed; a bare member has the name ''. */
export function readMembers(parameters: QueryParameters, list: string): QueryParameters[] {
  const members = new Map<number, Map<string, string>>()
  const prefix = `${list}.member.`
  for (const [name, value] of parameters) {
    if (!name.startsWith(prefix)) continue
    const [index = '', ...rest] = name.slice(prefix.length).split('.')
    const member = members.get(Number(index)) ?? new Map<string, string>()
    members.set(Number(index), member.set(rest.join('.'), value))
  }
  return [...members].sort(([left], [right]) => left - right).map(([, member]) => member)
}
