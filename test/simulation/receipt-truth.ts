/** A receipt, against what its providers know. */

import { secretHash } from '../../src/broker/credentials/lease-plan.ts'
import type { Receipt } from '../../src/receipts/receipt.ts'
import type { Facts } from './oracle.ts'
import { claimsOf } from './signature.ts'

export function* receiptProblems({ rows, providers }: Facts, jws: string): Generator<string> {
  // Written by the product's own `writeReceipt`, a moment ago.
  const receipt = claimsOf(jws) as Receipt
  const listed = new Set(receipt.credentials.map(one => one.lease))
  for (const lease of rows.leases.values())
    if (lease.task === receipt.sub && !listed.has(lease.id))
      yield `the receipt of ${receipt.sub} does not speak of ${lease.id}`
  for (const credential of receipt.credentials) {
    for (const minted of providers.of(credential.lease)) {
      const { basis, at } = credential.death
      const name = `the receipt of ${receipt.sub} says of ${credential.lease}`
      if (credential.issued === 'no') yield `${name} that it was not issued, and it was`
      if (credential.sha256 !== null && credential.sha256.hex !== secretHash(minted.secret))
        yield `${name} another hash than its own`
      if (at === null || providers.isAlive(minted, Date.parse(at)))
        yield `${name} ${basis} at ${at}, and it lived then`
    }
  }
}
