export type LintRule =
  | 'open-permit' // every agent, and nothing in the set forbids anything
  | 'like-on-identity' // a pattern where an identity is compared
  | 'like-unanchored' // a pattern that ends in the middle of a name
  | 'name-for-id' // a name that may be given to somebody else
  | 'never-applies' // demands that exclude each other, or a value that does not exist
  | 'no-such-principal' // an agent or team that is not registered
  | 'overshadowed' // a permit that another rule forbids whole
  | 'risky-events' // writes on events that strangers cause
  | 'caller-words' // permits by what the caller says of itself

/** An error is a rule that does not do what it says; a warning is one that may be meant. */
export type Finding = {
  rule: LintRule
  severity: 'error' | 'warning'
  file: string
  line: number
  policy: string
  message: string
  remedy: string
}

/** What is wrong with a rule, without its place. */
export type Found = Omit<Finding, 'file' | 'line' | 'policy'>
