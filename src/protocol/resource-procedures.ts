import type { Codec } from '../xdr/xdr-codec.ts'
import { i32, u32 } from '../xdr/xdr-codec.ts'
import { array, nothing, struct } from '../xdr/xdr-composites.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import {
  interfaceRef,
  networkRef,
  nodeDeviceRef,
  nwfilterBindingRef,
  nwfilterRef,
  secretRef,
  storagePoolRef,
  storageVolumeRef,
  string,
  stringOrNull,
  uuid,
} from './wire-types.ts'

const query = { class: 'query' } as const
const byName = struct({ name: string })
const countResult = struct({ count: i32 })

function numOf(number: number, name: string) {
  return procedure(number, name, nothing, countResult, query)
}

function listNames(number: number, name: string, max: number) {
  return procedure(number, name, struct({ maxNames: i32 }), struct({ names: array(string, max) }), query)
}

function listAll<T>(number: number, name: string, { item, max }: { readonly item: Codec<T>; readonly max: number }) {
  const result = struct({ items: array(item, max), count: u32 })
  return procedure(number, name, struct({ needResults: i32, flags: u32 }), result, query)
}

/**
 * Networks, pools, volumes, interfaces, devices, filters and secrets of the host: nothing of it is managed here, but clients
 * ask for all of it on their way to the domains, and an empty list serves them better than a refusal.
 */
export const resourceProcedures = {
  connectListDefinedNetworks: listNames(36, 'CONNECT_LIST_DEFINED_NETWORKS', limits.networks),
  connectListNetworks: listNames(38, 'CONNECT_LIST_NETWORKS', limits.networks),
  networkLookupByName: procedure(46, 'NETWORK_LOOKUP_BY_NAME', byName, struct({ network: networkRef }), query),
  networkLookupByUuid: procedure(
    47,
    'NETWORK_LOOKUP_BY_UUID',
    struct({ uuid }),
    struct({ network: networkRef }),
    query,
  ),
  connectNumOfDefinedNetworks: numOf(50, 'CONNECT_NUM_OF_DEFINED_NETWORKS'),
  connectNumOfNetworks: numOf(52, 'CONNECT_NUM_OF_NETWORKS'),
  connectListAllNetworks: listAll(283, 'CONNECT_LIST_ALL_NETWORKS', { item: networkRef, max: limits.networks }),

  connectNumOfStoragePools: numOf(71, 'CONNECT_NUM_OF_STORAGE_POOLS'),
  connectListStoragePools: listNames(72, 'CONNECT_LIST_STORAGE_POOLS', limits.storagePools),
  connectNumOfDefinedStoragePools: numOf(73, 'CONNECT_NUM_OF_DEFINED_STORAGE_POOLS'),
  connectListDefinedStoragePools: listNames(74, 'CONNECT_LIST_DEFINED_STORAGE_POOLS', limits.storagePools),
  storagePoolLookupByName: procedure(
    84,
    'STORAGE_POOL_LOOKUP_BY_NAME',
    byName,
    struct({ pool: storagePoolRef }),
    query,
  ),
  storageVolLookupByKey: procedure(
    96,
    'STORAGE_VOL_LOOKUP_BY_KEY',
    struct({ key: string }),
    struct({ volume: storageVolumeRef }),
    query,
  ),
  storageVolLookupByPath: procedure(
    97,
    'STORAGE_VOL_LOOKUP_BY_PATH',
    struct({ path: string }),
    struct({ volume: storageVolumeRef }),
    query,
  ),
  connectListAllStoragePools: listAll(281, 'CONNECT_LIST_ALL_STORAGE_POOLS', {
    item: storagePoolRef,
    max: limits.storagePools,
  }),

  connectNumOfInterfaces: numOf(126, 'CONNECT_NUM_OF_INTERFACES'),
  connectListInterfaces: listNames(127, 'CONNECT_LIST_INTERFACES', limits.interfaces),
  interfaceLookupByName: procedure(128, 'INTERFACE_LOOKUP_BY_NAME', byName, struct({ interface: interfaceRef }), query),
  connectNumOfDefinedInterfaces: numOf(137, 'CONNECT_NUM_OF_DEFINED_INTERFACES'),
  connectListDefinedInterfaces: listNames(138, 'CONNECT_LIST_DEFINED_INTERFACES', limits.interfaces),
  connectListAllInterfaces: listAll(284, 'CONNECT_LIST_ALL_INTERFACES', { item: interfaceRef, max: limits.interfaces }),

  nodeNumOfDevices: procedure(
    111,
    'NODE_NUM_OF_DEVICES',
    struct({ capability: stringOrNull, flags: u32 }),
    countResult,
    query,
  ),
  nodeListDevices: procedure(
    112,
    'NODE_LIST_DEVICES',
    struct({ capability: stringOrNull, maxNames: i32, flags: u32 }),
    struct({ names: array(string, limits.nodeDevices) }),
    query,
  ),
  nodeDeviceLookupByName: procedure(
    113,
    'NODE_DEVICE_LOOKUP_BY_NAME',
    byName,
    struct({ device: nodeDeviceRef }),
    query,
  ),
  connectListAllNodeDevices: listAll(285, 'CONNECT_LIST_ALL_NODE_DEVICES', {
    item: nodeDeviceRef,
    max: limits.nodeDevices,
  }),

  nwfilterLookupByName: procedure(175, 'NWFILTER_LOOKUP_BY_NAME', byName, struct({ filter: nwfilterRef }), query),
  connectNumOfNwfilters: numOf(178, 'CONNECT_NUM_OF_NWFILTERS'),
  connectListNwfilters: listNames(179, 'CONNECT_LIST_NWFILTERS', limits.nwfilters),
  connectListAllNwfilters: listAll(286, 'CONNECT_LIST_ALL_NWFILTERS', { item: nwfilterRef, max: limits.nwfilters }),
  connectListAllNwfilterBindings: listAll(401, 'CONNECT_LIST_ALL_NWFILTER_BINDINGS', {
    item: nwfilterBindingRef,
    max: limits.nwfilterBindings,
  }),

  connectNumOfSecrets: numOf(139, 'CONNECT_NUM_OF_SECRETS'),
  connectListSecrets: listNames(140, 'CONNECT_LIST_SECRETS', limits.secrets),
  secretLookupByUuid: procedure(141, 'SECRET_LOOKUP_BY_UUID', struct({ uuid }), struct({ secret: secretRef }), query),
  connectListAllSecrets: listAll(287, 'CONNECT_LIST_ALL_SECRETS', { item: secretRef, max: limits.secrets }),
} as const
