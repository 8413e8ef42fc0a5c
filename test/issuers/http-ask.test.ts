import { describe, expect, test } from 'vitest'
import { httpAskRules } from '../../issuers/shared/http-ask.ts'
import { askSettings as shape } from '../../issuers/shared/http-ask-settings.ts'
import { askSettings, READ_ORDERS } from './http-world.ts'

type Changes = Partial<Record<'properties' | 'compare' | 'facts', object>> & { required?: string[] }

/** The settings of the reference server, with members replaced. */
function changed({ properties = {}, compare = {}, facts = {}, required }: Changes) {
  const { schema } = askSettings
  return {
    schema: {
      ...schema,
      properties: { ...schema.properties, ...properties },
      ...(required === undefined ? {} : { required }),
    },
    compare: { ...askSettings.compare, ...compare },
    facts: { ...askSettings.facts, ...facts },
  }
}
const rulesFor = (changes: Changes = {}) => httpAskRules(shape.parse(changed(changes)))

describe('an ask', () => {
  const { ask } = rulesFor()

  test('is read by its schema, and every text and list has an end', () => {
    expect(ask.parse({ ...READ_ORDERS, tables: ['b', 'a', 'b'], rows: 5 })).toEqual({
      ...READ_ORDERS,
      tables: ['a', 'b'],
      rows: 5,
    })
    const bad: object[] = [
      { database: '' },
      { database: 'x'.repeat(513) },
      { database: 'two\nlines' },
      { database: 7 },
      { tables: [] },
      { tables: ['\u001b[2J'] },
      { tables: Array.from({ length: 257 }, (_, n) => `t${n}`) },
      { tables: 'open' },
      { level: 'owner' },
      { rows: 0 },
      { rows: 1.5 },
      { rows: 1_000_001 },
      { rows: null },
      { type: 'databases' },
      { constructor: 'x' },
    ]
    for (const change of bad) expect(ask.safeParse({ ...READ_ORDERS, ...change }).success).toBe(false)
    expect(
      ask.safeParse(JSON.parse('{"__proto__":{"x":1},"database":"a","tables":["t"],"level":"read"}')).success,
    ).toBe(false)
  })
})

describe('covers', () => {
  const { ask, covers, couldCover } = rulesFor()
  const of = (more: object) => ask.parse({ ...READ_ORDERS, ...more })

  test.each<[string, object, object, boolean]>([
    ['another value', { database: 'payments' }, {}, false],
    ['fewer of a list', { tables: ['open', 'closed'] }, {}, true],
    ['more of a list', {}, { tables: ['open', 'closed'] }, false],
    ['less in an order', { level: 'write' }, { level: 'read' }, true],
    ['more in an order', { level: 'read' }, { level: 'write' }, false],
    ['a smaller number', { rows: 10 }, { rows: 9 }, true],
    ['a greater number', { rows: 10 }, { rows: 11 }, false],
    ['a number where the ceiling has none', {}, { rows: 1 }, false],
    ['none where the ceiling has a number', { rows: 10 }, {}, false],
    ['an id under an open one', {}, { database_id: 'db_1' }, true],
    ['the same id', { database_id: 'db_1' }, { database_id: 'db_1' }, true],
    ['another id', { database_id: 'db_1' }, { database_id: 'db_2' }, false],
    ['an open id under a closed one', { database_id: 'db_1' }, {}, false],
  ])('%s', (_, ceiling, wanted, allowed) => {
    expect(covers(of(ceiling), of(wanted))).toBe(allowed)
  })

  test('what resolving may still fill in could be covered', () => {
    expect(couldCover(of({ database_id: 'db_1' }), of({}))).toBe(true)
    expect(couldCover(of({ database_id: 'db_1' }), of({ database_id: 'db_2' }))).toBe(false)
    expect(couldCover(of({}), of({ level: 'write' }))).toBe(false)
  })
})

describe('facts', () => {
  const facts = (more: object, changes?: Changes) => {
    const rules = rulesFor(changes)
    return rules.facts(rules.ask.parse({ ...READ_ORDERS, ...more }))
  }

  test('are told from the values that are listed; any other is the worst', () => {
    expect(facts({ tables: ['open', 'closed'] })).toEqual({
      phase: 'read',
      resources: [{ type: 'Database', id: 'orders', name: 'orders', parents: [] }],
      permissions: ['level:read', 'tables:closed', 'tables:open'],
      mayLeaveAccess: false,
    })
    expect(facts({ level: 'write', database_id: 'db_1' })).toMatchObject({
      phase: 'execute',
      resources: [{ id: 'db_1', name: 'orders' }],
    })
    expect(facts({ level: 'admin' })).toMatchObject({ phase: 'transact', mayLeaveAccess: true })
  })

  test('a value of an order may do what those before it may', () => {
    const phase = [{ field: 'level', values: { read: 'execute', write: 'read', admin: 'read' } }]
    expect(facts({ level: 'admin' }, { facts: { phase } }).phase).toBe('execute')
  })

  test('nothing said is the worst; one for all is taken as it is said', () => {
    const silent = { facts: { phase: undefined, may_leave_access: undefined } }
    expect(facts({}, silent)).toMatchObject({ phase: 'transact', mayLeaveAccess: true })
    expect(facts({}, { facts: { phase: [], may_leave_access: [] } })).toMatchObject({
      phase: 'transact',
      mayLeaveAccess: true,
    })
    expect(facts({ level: 'admin' }, { facts: { phase: 'deploy', may_leave_access: false } })).toMatchObject({
      phase: 'deploy',
      mayLeaveAccess: false,
    })
  })
})

test.each<[string, Changes]>([
  ['a property that does not say how it is compared', { properties: { extra: { type: 'string' } } }],
  ['a comparison of no property', { compare: { extra: 'exact' } }],
  ['a list that is compared exactly', { compare: { tables: 'exact' } }],
  ['a subset of a text', { compare: { database: 'subset' } }],
  ['an order of texts that is not told', { compare: { level: 'at_most' } }],
  ['an order with a value twice', { compare: { level: { at_most: ['read', 'read'] } } }],
  [
    'an order that is not that of the enum',
    {
      properties: { level: { type: 'string', enum: ['read', 'own'] } },
      compare: { level: { at_most: ['read'] } },
    },
  ],
  ['an order of numbers by words', { compare: { rows: { at_most: ['1', '2'] } } }],
  ['nothing required', { required: [] }],
  ['something required that is not there', { required: ['database', 'tables', 'level', 'extra'] }],
  ['a pattern', { properties: { database: { type: 'string', pattern: '(a+)+$' } } }],
  ['an object within', { properties: { database: { type: 'object' } } }],
  ['a property called type', { properties: { type: { type: 'string' } }, compare: { type: 'exact' } }],
  ['a resource that need not be there', { required: ['tables', 'level'] }],
  ['a resource by its id alone', { facts: { resources: [{ type: 'Database', name: 'database_id' }] } }],
  [
    'an id that is not resolved',
    { facts: { resources: [{ type: 'Database', name: 'database', id: 'level' }] } },
  ],
  ['a resource with a lower-case type', { facts: { resources: [{ type: 'database', name: 'database' }] } }],
  ['no resource', { facts: { resources: [] } }],
  ['a phase by a number', { facts: { phase: [{ field: 'rows', values: { '1': 'read' } }] } }],
  [
    'a phase by a list that may be empty',
    {
      properties: { tables: { type: 'array', items: { type: 'string' } } },
      facts: { phase: [{ field: 'tables', values: { open: 'read' } }] },
    },
  ],
  ['a phase by what is no phase', { facts: { phase: [{ field: 'level', values: { read: 'look' } }] } }],
  ['permissions of no property', { facts: { permissions: ['extra'] } }],
])('settings with %s are refused', (_, changes) => {
  expect(shape.safeParse(changed(changes)).success).toBe(false)
})
