import { describe, expect, test } from 'vitest'
import { judgeCompiled } from '../../../src/policy/cedar/judge.ts'
import { compiled, request } from './facts.ts'

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
const WRITES = `@id("writes-wait") @onDeny("needs_approval") @approvers("group:leads") @quorum("2")
  forbid(principal, action in Mayfly::Action::"*:execute", resource) unless { context has approval };`
const approved = (digest: string, count: number, groups = ['leads']) => ({ digest, count, groups })

describe('a decision', () => {
  test('is a denial where no policy permits', () => {
    expect(judgeCompiled(compiled(), request())).toMatchObject({
      outcome: 'deny',
      determining: [],
      reasons: ['no policy permits it'],
    })
  })

  test('names what permits and what forbids', () => {
    const set = compiled(
      ALL,
      '@id("not-acme") forbid(principal, action in Mayfly::Action::"github-app:*", resource in Mayfly::Owner::"acme");',
    )
    expect(judgeCompiled(compiled(ALL), request())).toMatchObject({ outcome: 'allow', determining: ['all'] })
    expect(judgeCompiled(set, request())).toMatchObject({ outcome: 'deny', determining: ['not-acme'] })
  })

  test('is made for each resource', () => {
    const set = compiled(
      '@id("one") permit(principal, action in Mayfly::Action::"*:*", resource == Mayfly::Repository::"1");',
    )
    const repository = (id: string) => ({ type: 'Repository', id, name: id, parents: [] })
    expect(judgeCompiled(set, request({ resources: [repository('1')] })).outcome).toBe('allow')
    expect(judgeCompiled(set, request({ resources: [repository('1'), repository('2')] })).outcome).toBe(
      'deny',
    )
    expect(judgeCompiled(set, request({ resources: [] })).outcome).toBe('deny')
  })

  test('is made for the human too', () => {
    const set = compiled(
      '@id("agents") permit(principal is Mayfly::Agent, action in Mayfly::Action::"*:*", resource);',
      '@id("staff") permit(principal in Mayfly::Group::"staff", action in Mayfly::Action::"*:read", resource);',
    )
    const human = (...groups: string[]) => ({ issuer: 'https://id.example', subject: 'u1', groups })
    expect(judgeCompiled(set, request({ human: human('staff') })).outcome).toBe('allow')
    expect(judgeCompiled(set, request({ human: human('guests') })).outcome).toBe('deny')
    expect(judgeCompiled(set, request({ human: human('staff'), phase: 'execute' })).outcome).toBe('deny')
  })

  test('reaches types and claims that no plugin declares', () => {
    const set =
      compiled(`@id("vault") permit(principal, action in Mayfly::Action::"vault:*", resource is Mayfly::Resource in Mayfly::Resource::"Mount/kv")
      when { resource.type == "Path" && context.identity.hasTag("tier") && context.identity.getTag("tier") == "prod" };`)
    const path = { type: 'Path', id: 'a', name: 'a', parents: [{ type: 'Mount', id: 'kv' }] }
    const asked = request({ issuer: 'vault', resources: [path], context: { claims: { tier: 'prod' } } })
    expect(judgeCompiled(set, asked).outcome).toBe('allow')
    expect(judgeCompiled(set, { ...asked, issuer: 'unheard-of' }).outcome).toBe('deny')
  })

  test('comes with the permits that came closest', () => {
    const set = compiled(
      `@id("deploys") permit(principal in Mayfly::Team::"shop", action in Mayfly::Action::"*:deploy", resource)
         when { context.claims has environment && context.claims.environment == "production" && context.ttlSeconds <= 600 };`,
      '@id("others") permit(principal in Mayfly::Team::"other", action, resource == Mayfly::Repository::"7") when { context.mayLeaveAccess };',
    )
    const asked = request({ phase: 'deploy', context: { claims: { environment: 'production' } } })
    const { nearest } = judgeCompiled(set, asked)
    expect(nearest[0]).toBe('deploys: not when { context.ttlSeconds <= 600 }')
    expect(nearest[1]).toMatch(/^others: not principal in Mayfly::Team::"other"; not resource == /)
  })

  test('knows the hour and the day', () => {
    const set = compiled(
      '@id("office") permit(principal, action, resource is Mayfly::Repository) when { context.weekday <= 5 && context.hour >= 8 && context.now >= datetime("2026-01-01") };',
    )
    const at = (...time: [number, number, number, number]) =>
      judgeCompiled(set, request({ context: { now: Date.UTC(...time) } })).outcome
    expect(at(2026, 10, 20, 9)).toBe('allow')
    expect(at(2026, 10, 22, 9)).toBe('deny')
    expect(at(2026, 10, 20, 7)).toBe('deny')
    expect(at(2025, 10, 20, 9)).toBe('deny')
  })
})

describe('an approval', () => {
  const set = compiled(ALL, WRITES)
  const asked = request({ phase: 'execute' })
  const { digest } = asked.context
  const withApproval = (approval: ReturnType<typeof approved>) =>
    request({ phase: 'execute', context: { approval } })

  test('is asked for, as the annotations say', () => {
    expect(judgeCompiled(set, asked)).toEqual({
      outcome: 'needs_approval',
      determining: ['writes-wait'],
      reasons: ['writes-wait: 2 humans of leads must approve'],
      requires: [{ policy: 'writes-wait', quorum: 2, groups: ['leads'], ownerMay: false }],
      nearest: [],
    })
  })

  test('counts for its own digest, in full, and out of the groups', () => {
    expect(judgeCompiled(set, withApproval(approved(digest, 2))).outcome).toBe('allow')
    for (const short of [
      approved('e'.repeat(64), 2),
      approved(digest, 1),
      approved(digest, 2, ['others']),
      approved(digest, 2, []),
      approved(digest, 0),
    ])
      expect(judgeCompiled(set, withApproval(short)).outcome).toBe('needs_approval')
  })

  test('is not asked for where it could not help', () => {
    const forbidden = compiled(
      ALL,
      WRITES,
      '@id("never") forbid(principal, action in Mayfly::Action::"*:execute", resource);',
    )
    expect(judgeCompiled(forbidden, asked)).toMatchObject({
      outcome: 'deny',
      determining: ['never', 'writes-wait'],
    })
    expect(judgeCompiled(forbidden, withApproval(approved(digest, 2))).outcome).toBe('deny')
    expect(judgeCompiled(compiled(WRITES), asked).outcome).toBe('deny')
    const greedy = compiled(
      ALL,
      `@id("greedy") @onDeny("needs_approval") forbid(principal, action in Mayfly::Action::"*:*", resource)
       unless { context has approval && context.approval.count >= 5 };`,
    )
    expect(judgeCompiled(greedy, asked).outcome).toBe('deny')
  })

  test('is asked for once for all rules that demand it', () => {
    const two = compiled(
      ALL,
      WRITES,
      `@id("low-too") @onDeny("needs_approval") @ownerMay("approve") forbid(principal, action in Mayfly::Action::"*:*", resource)
       when { context.agent.tier <= 1 } unless { context has approval && context.approval.digest == context.digest };`,
    )
    expect(judgeCompiled(two, asked).requires).toEqual([
      { policy: 'low-too', quorum: 1, groups: [], ownerMay: true },
      { policy: 'writes-wait', quorum: 2, groups: ['leads'], ownerMay: false },
    ])
    expect(judgeCompiled(two, withApproval(approved(digest, 1))).outcome).toBe('needs_approval')
    expect(judgeCompiled(two, withApproval(approved(digest, 2))).outcome).toBe('allow')
  })
})
