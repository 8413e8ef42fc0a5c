/**
 * Condition blocks of IAM policies. Every operator and key must hold; of one key's values, one is enough
 * (none, for a negated operator). IAM User Guide, "IAM JSON policy elements: Condition operators".
 */

/** Values of the request's context keys by lower-case name. A key that is absent is not in the map. */
export type RequestContext = ReadonlyMap<string, readonly string[]>

export type ConditionBlock = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

type Operator = {
  /** Whether one value of the request meets one value of the policy. */
  test: (actual: string, wanted: string) => boolean
  /** True where the operator means "none of them", and so holds for an absent key. */
  negated?: true
  /** Whether a policy value can be read at all; absent: any text. */
  readable?: (wanted: string) => boolean
}

/** Whether every condition holds for the request. */
export function conditionsHold(blocks: ConditionBlock | undefined, context: RequestContext): boolean {
  return Object.entries(blocks ?? {}).every(([name, keys]) =>
    Object.entries(keys).every(([key, wanted]) => keyHolds(name, key, wanted, context)),
  )
}

/** What is wrong with a block's operators or values, as a sentence, or undefined. */
export function conditionFault(blocks: ConditionBlock): string | undefined {
  for (const [name, keys] of Object.entries(blocks)) {
    const { operator, isNull } = readName(name)
    if (isNull) continue
    if (operator === undefined) return `Invalid Condition type : ${name}.`
    const unreadable = Object.values(keys)
      .flat()
      .some(value => operator.readable?.(value) === false)
    if (unreadable) return `Invalid value in condition ${name}.`
  }
  return undefined
}

function keyHolds(name: string, key: string, wanted: readonly string[], context: RequestContext): boolean {
  const { operator, isNull, set, ifExists } = readName(name)
  const actual = context.get(key.toLowerCase())
  if (isNull) return wanted.some(value => (value.toLowerCase() === 'true') === (actual === undefined))
  if (operator === undefined) return false
  if (actual === undefined) {
    if (set === 'ForAnyValue') return false
    return ifExists || set === 'ForAllValues' || operator.negated === true
  }
  const policyValues = wanted.map(value => withVariables(value, context))
  const meets = (value: string) => {
    const any = policyValues.some(policyValue => operator.test(value, policyValue))
    return operator.negated === true ? !any : any
  }
  if (set === 'ForAnyValue') return actual.some(meets)
  return actual.every(meets)
}

function readName(name: string) {
  const [, set, base = '', ifExists] =
    /^(?:(ForAnyValue|ForAllValues):)?([A-Za-z]+?)(IfExists)?$/.exec(name) ?? []
  const operator = Object.hasOwn(OPERATORS, base) ? OPERATORS[base] : undefined
  return { operator, isNull: base === 'Null', set, ifExists: ifExists !== undefined }
}

const equals = (actual: string, wanted: string) => actual === wanted
const equalsIgnoringCase = (actual: string, wanted: string) => actual.toLowerCase() === wanted.toLowerCase()

function dates(compare: (actual: number, wanted: number) => boolean): Operator {
  return {
    test: (actual, wanted) => compare(readDate(actual), readDate(wanted)),
    readable: wanted => !Number.isNaN(readDate(wanted)),
  }
}

function numbers(compare: (actual: number, wanted: number) => boolean): Operator {
  return {
    test: (actual, wanted) => compare(Number(actual), Number(wanted)),
    readable: wanted => wanted.trim() !== '' && !Number.isNaN(Number(wanted)),
  }
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  StringEquals: { test: equals },
  StringNotEquals: { test: equals, negated: true },
  StringEqualsIgnoreCase: { test: equalsIgnoringCase },
  StringNotEqualsIgnoreCase: { test: equalsIgnoringCase, negated: true },
  StringLike: { test: matchesPattern },
  StringNotLike: { test: matchesPattern, negated: true },
  ArnEquals: { test: matchesPattern },
  ArnLike: { test: matchesPattern },
  ArnNotEquals: { test: matchesPattern, negated: true },
  ArnNotLike: { test: matchesPattern, negated: true },
  Bool: { test: equalsIgnoringCase, readable: wanted => /^(true|false)$/i.test(wanted) },
  DateEquals: dates((actual, wanted) => actual === wanted),
  DateNotEquals: { ...dates((actual, wanted) => actual === wanted), negated: true },
  DateLessThan: dates((actual, wanted) => actual < wanted),
  DateLessThanEquals: dates((actual, wanted) => actual <= wanted),
  DateGreaterThan: dates((actual, wanted) => actual > wanted),
  DateGreaterThanEquals: dates((actual, wanted) => actual >= wanted),
  NumericEquals: numbers((actual, wanted) => actual === wanted),
  NumericNotEquals: { ...numbers((actual, wanted) => actual === wanted), negated: true },
  NumericLessThan: numbers((actual, wanted) => actual < wanted),
  NumericLessThanEquals: numbers((actual, wanted) => actual <= wanted),
  NumericGreaterThan: numbers((actual, wanted) => actual > wanted),
  NumericGreaterThanEquals: numbers((actual, wanted) => actual >= wanted),
}

const ISO_DATE = /^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?)?)?$/

/** Epoch ms of a W3C ISO 8601 date or of epoch seconds, the two forms IAM takes; NaN for anything else. */
function readDate(text: string): number {
  if (/^\d{5,}$/.test(text)) return Number(text) * 1000
  return ISO_DATE.test(text) ? Date.parse(text) : Number.NaN
}

/** Stands in a pattern for what no request can match: no text of a request holds this noncharacter. */
const UNMATCHABLE = '\uffff'

/**
 * `${aws:userid}` and `${aws:PrincipalTag/team, 'default'}`. A variable that the request does not have matches
 * nothing; neither do the escapes `${*}`, `${?}` and `${$}`, which this stand-in does not know.
 */
export function withVariables(text: string, context: RequestContext): string {
  return text.replace(
    /\$\{([^},]+)(?:,\s*'([^']*)')?\}/g,
    (_whole, key: string, otherwise: string | undefined) =>
      context.get(key.trim().toLowerCase())?.[0] ?? otherwise ?? UNMATCHABLE,
  )
}

/** `*` any run of characters, `?` any one character, all else itself. Linear in time: no backtracking into more than one `*`. */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0
  let patternAt = 0
  let starAt = -1
  let retryFrom = 0
  while (at < text.length) {
    if (pattern[patternAt] === '*') {
      starAt = patternAt++
      retryFrom = at
    } else if (pattern[patternAt] === '?' || pattern[patternAt] === text[at]) {
      patternAt++
      at++
    } else if (starAt >= 0) {
      patternAt = starAt + 1
      at = ++retryFrom
    } else return false
  }
  while (pattern[patternAt] === '*') patternAt++
  return patternAt === pattern.length
}
