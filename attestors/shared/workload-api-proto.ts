/**
 * The streams of the SPIFFE Workload API that Mayfly reads, as protobufjs wants a service described: names, types and
 * field numbers of the published definition (`workloadapi.proto`, proto3, no package). Calls and fields that it does
 * not use are left out; a reader of protobuf passes over them.
 */
export const WORKLOAD_API_PROTO = {
  nested: {
    SpiffeWorkloadAPI: {
      methods: {
        FetchX509SVID: stream('X509SVID'),
        FetchX509Bundles: stream('X509Bundles'),
        FetchJWTBundles: stream('JWTBundles'),
      },
    },
    X509SVIDRequest: { fields: {} },
    X509SVIDResponse: { fields: { svids: { rule: 'repeated', type: 'X509SVID', id: 1 } } },
    X509SVID: {
      fields: {
        spiffe_id: { type: 'string', id: 1 },
        x509_svid: { type: 'bytes', id: 2 },
        x509_svid_key: { type: 'bytes', id: 3 },
      },
    },
    X509BundlesRequest: { fields: {} },
    X509BundlesResponse: { fields: { bundles: { keyType: 'string', type: 'bytes', id: 2 } } },
    JWTBundlesRequest: { fields: {} },
    JWTBundlesResponse: { fields: { bundles: { keyType: 'string', type: 'bytes', id: 1 } } },
  },
}

function stream(name: string) {
  return { requestType: `${name}Request`, responseType: `${name}Response`, responseStream: true, comment: '' }
}
