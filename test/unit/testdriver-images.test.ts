import { describe, expect, test } from 'vitest'
import { DriverKit, layer, never, uuid } from './testdriver-kit.ts'

const qcow2 = (path: string) => ({ path, format: 'qcow2' }) as const

describe('images of the test driver', () => {
  test('readChain() lets a file exist that a definition names', async () => {
    const { images } = new DriverKit()
    expect(await images.stat('/a.qcow2')).toBeNull()
    const [found] = await images.readChain({ given: [qcow2('/a.qcow2')], terminated: false }, never)
    expect(found).toMatchObject({ path: '/a.qcow2', virtualSizeBytes: 1_073_741_824n })
    expect(await images.stat('/a.qcow2')).toEqual(found?.file)
    expect(images.filesOpened).toBe(1)
  })

  test('createOverlay() makes a chain that readChain() follows, and refuses an existing file', async () => {
    const { images } = new DriverKit()
    await images.readChain({ given: [qcow2('/a')], terminated: false }, never)
    const overlay = { path: '/b', virtualSizeBytes: 42n, backing: qcow2('/a'), reuseExternal: false }
    await images.createOverlay(overlay, never)
    await expect(images.createOverlay(overlay, never)).rejects.toThrow('Cannot create image "/b": it exists already')
    const reused = await images.createOverlay({ ...overlay, reuseExternal: true }, never)
    expect(reused.file).toEqual(await images.stat('/b'))
    const layers = await images.readChain({ given: [qcow2('/b')], terminated: false }, never)
    expect(layers.map(({ path }) => path)).toEqual(['/b', '/a'])
    const ended = await images.readChain({ given: [qcow2('/b')], terminated: true }, never)
    expect(ended.map(({ path }) => path)).toEqual(['/b'])
  })

  test('readChain() refuses loops, missing files, a wrong format and a depth over 200', async () => {
    const { images, world } = new DriverKit()
    const create = (path: string, below: string | null) =>
      world.createImage({
        path,
        format: 'qcow2',
        virtualSizeBytes: 1n,
        backing: below === null ? null : qcow2(below),
        sizeBytes: 1n,
      })
    create('/loop', '/loop')
    create('/over', '/gone')
    await images.remove('/gone')
    world.createImage({ path: '/raw', format: 'raw', virtualSizeBytes: 1n, backing: null, sizeBytes: 1n })
    for (let depth = 1; depth <= 201; depth += 1) create(`/${depth}`, depth === 201 ? null : `/${depth + 1}`)
    const read = (path: string) => images.readChain({ given: [qcow2(path)], terminated: false }, never)
    await expect(read('/loop')).rejects.toThrow('Cannot read image "/loop": it stands above itself')
    await expect(read('/over')).rejects.toThrow('Cannot read image "/gone": there is no such file')
    await expect(read('/raw')).rejects.toThrow('its format is raw, it must be qcow2')
    await expect(read('/1')).rejects.toThrow('Cannot read image "/201": it is layer 201')
    expect(await read('/2')).toHaveLength(200)
  })

  test('a file that was replaced or changed has another identity', async () => {
    const { images, world } = new DriverKit()
    await images.readChain({ given: [qcow2('/a')], terminated: false }, never)
    const first = await images.stat('/a')
    world.changeImage('/a', {})
    const second = await images.stat('/a')
    world.changeImage('/a', { backing: null })
    const third = await images.stat('/a')
    expect(new Set([first, second, third].map((file) => file?.mtimeNs)).size).toBe(3)
    expect(third?.inode).toBe(first?.inode)
  })

  test('a job writes what the chain became into the files, as a hypervisor does', async () => {
    const kit = new DriverKit()
    const create = (index: number, below: number | null) =>
      kit.world.createImage({
        ...layer(index),
        virtualSizeBytes: 7n,
        backing: below === null ? null : layer(below),
        sizeBytes: 1n,
      })
    create(1, null)
    create(2, 1)
    create(3, 2)
    const before = await kit.images.stat('/images/3.qcow2')
    await kit.run({ vda: [3, 2, 1] })
    expect(await kit.images.stat('/images/3.qcow2')).toEqual(before)
    const job = { kind: 'commit', jobId: 'job', target: 'vda', bytesPerSecond: 0n } as const
    await kit.driver.startBlockJob(uuid, { ...job, active: layer(3), top: layer(2), base: layer(1) }, never)
    await kit.time.advance(60_000)
    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    const layers = await kit.images.readChain({ given: [qcow2('/images/3.qcow2')], terminated: false }, never)
    expect(layers.map(({ path }) => path)).toEqual(['/images/3.qcow2', '/images/1.qcow2'])
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ disks: [{ capacityBytes: 7n }] })
  })
})
