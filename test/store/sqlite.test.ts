import { describeStore } from '../conformance/store.ts'
import { openSqliteSubject } from './open.ts'

describeStore('the embedded ledger', openSqliteSubject)
