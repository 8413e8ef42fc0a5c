/** What one user may do in a repository, as GitHub tells an App that may read its metadata. */
import { authorize } from './access.ts'
import { GithubRefusal } from './answer.ts'
import type { Handler } from './handler.ts'
import { renderAccount } from './render.ts'
import type { Level } from './state.ts'

/** GitHub's own roles, and what each comes to in the words of before: admin, write, read. */
const BASE: Readonly<Record<string, Level>> = {
  read: 'read',
  triage: 'read',
  write: 'write',
  maintain: 'write',
  admin: 'admin',
}

/** @throws Error for a custom role: what it comes to has to be said */
export function baseOf(role: string): Level {
  const base = BASE[role]
  if (base === undefined) throw new Error(`${role} is no role of GitHub's: say its permission`)
  return base
}

/** Nobody's account is 404; an account without access has `none`, or `read` where everybody may read. */
export const getPermissionLevel: Handler = call => {
  const repository = authorize(call, { permission: 'metadata', level: 'read' })
  const login = String(call.params.username).toLowerCase()
  const user = call.state.users.get(login)
  if (user === undefined) throw new GithubRefusal(404, `${login} is not a user`)
  const held = repository.collaborators.get(login)
  const open = repository.private ? 'none' : 'read'
  const permission = held?.permission ?? open
  const role_name = held?.role ?? open
  const may = (...levels: string[]) => levels.includes(permission)
  const permissions = {
    pull: may('read', 'write', 'admin'),
    triage: may('write', 'admin') || role_name === 'triage',
    push: may('write', 'admin'),
    maintain: may('admin') || role_name === 'maintain',
    admin: may('admin'),
  }
  const account = renderAccount(user.login, user.id, 'User', call.origin)
  return { status: 200, body: { permission, role_name, user: { ...account, permissions, role_name } } }
}
