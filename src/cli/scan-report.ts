/** What was found, for people and for programs (SARIF 2.1.0, as little of it as readers need). No secret is in it. */
import { printable } from './print.ts'
import type { Finding } from './scan-places.ts'

const ACCESS: Readonly<Record<string, string>> = {
  'write-all': 'permissions: write-all gives the job every right that the repository has',
  'id-token': 'id-token: write lets every step of the job prove to be this workflow',
  'secrets-inherit': 'secrets: inherit hands all secrets to the workflow that is called',
  pull_request_target: 'pull_request_target runs with the rights of the base repository on code of anybody',
}

export function describe(finding: Finding): string {
  if ('of' in finding)
    return finding.kind === 'unpinned-uses'
      ? `${finding.of} is not pinned to a commit: whoever owns it changes what runs here`
      : (ACCESS[finding.kind] ?? finding.kind)
  const how = finding.via === 'plain' ? '' : ` (${finding.via})`
  if (finding.certainty === 'maybe')
    return `has the form of ${finding.kind === 'github-token' ? 'a GitHub token' : 'a Mayfly token'}${how}`
  if (finding.part === 'task_token') return `the token of task ${finding.lease}${how}`
  const part = finding.part === undefined || finding.part === '' ? '' : `, ${finding.part}`
  return `a credential of this task: ${finding.lease}${part}${how}`
}

/** `file:line: kind: what` */
export function toLines(findings: readonly Finding[]): string {
  return findings
    .map(one => `${printable(one.path)}:${one.line}: ${one.kind}: ${printable(describe(one))}\n`)
    .join('')
}

export function toSarif(findings: readonly Finding[]) {
  const rules = [...new Set(findings.map(one => one.kind))].sort().map(id => ({ id }))
  return {
    version: '2.1.0',
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    runs: [
      {
        tool: { driver: { name: 'mayfly scan', rules } },
        results: findings.map(one => ({
          ruleId: one.kind,
          level: 'certainty' in one && one.certainty === 'certain' ? 'error' : 'warning',
          message: { text: describe(one) },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: encodeURI(one.path) },
                region: { startLine: one.line },
              },
            },
          ],
          properties: {
            ...('lease' in one && one.lease !== undefined ? { lease: one.lease } : {}),
            ...('certainty' in one ? { certainty: one.certainty, via: one.via } : {}),
          },
        })),
      },
    ],
  }
}
