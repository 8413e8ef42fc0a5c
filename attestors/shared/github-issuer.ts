/**
 * Whether an issuer is GitHub Actions: github.com with or without an enterprise's slug, `token.actions.…` of
 * ghe.com, or `/_services/token` of a GitHub Enterprise Server (GitHub Docs, "OpenID Connect reference").
 */
export function isGithubActions(issuer: string): boolean {
  const { hostname, pathname } = new URL(issuer)
  const host = hostname.replace(/\.$/, '')
  if (host === 'token.actions.githubusercontent.com') return true
  return /^token\.actions\..+\.ghe\.com$/.test(host) || /^\/_services\/token\/?$/.test(pathname)
}
