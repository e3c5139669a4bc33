#!/usr/bin/python3
"""The part of the story that the Python binding tells. Usage: story.py URI DIRECTORY IDLE_SECONDS

Prints one JSON object per line, {"name": ..., "value": ...}; names are unique. What differs from run to run by its nature
(times, ids, paths) is printed as a fact about it, not as it is.
"""
import json
import socket
import sys
import threading
import time

import libvirt

uri, directory, idle_seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
NAME = "python"
WAIT_SECONDS = 30


def tell(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


def code(name, call):
    """Tells the code with which a call is refused, and the part of the daemon that it names as the origin."""
    try:
        tell(name, "accepted: " + repr(call())[:80])
    except libvirt.libvirtError as error:
        tell(name, error.get_error_code())
        tell(name + ": error domain", error.get_error_domain())


class Heard:
    """Events as they come in, and a way to wait for one."""

    def __init__(self):
        self.rows = []
        self.changed = threading.Condition()

    def add(self, *row):
        with self.changed:
            self.rows.append(row)
            self.changed.notify_all()

    def wait(self, *row):
        with self.changed:
            return self.changed.wait_for(lambda: row in self.rows, WAIT_SECONDS)

    def of(self, kind):
        with self.changed:
            return [row[1:] for row in self.rows if row[0] == kind]


def without_extras(rows):
    """Lifecycle events without those that libvirtd alone sends: RESUMED in front of a STARTED, SHUTDOWN in front of a STOPPED."""
    rows = [row for row in rows if row[1] != libvirt.VIR_DOMAIN_EVENT_SHUTDOWN]
    next_events = [row[1] for row in rows[1:]] + [None]
    resumed, started = libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_STARTED
    return [row for row, following in zip(rows, next_events) if (row[1], following) != (resumed, started)]


def run_loop():
    while True:
        libvirt.virEventRunDefaultImpl()


def lifecycle(_conn, domain, event, detail, heard):
    heard.add("lifecycle", domain.name(), event, detail)


def block_job(_conn, _domain, disk, kind, status, heard):
    heard.add("block-job", disk.rsplit("/", 1)[-1], kind, status)


def block_job_2(_conn, _domain, disk, kind, status, heard):
    heard.add("block-job-2", disk, kind, status)


def closed(_conn, reason, heard):
    heard.add("closed", reason)


libvirt.registerErrorHandler(lambda _context, _error: None, None)
libvirt.virEventRegisterDefaultImpl()
threading.Thread(target=run_loop, daemon=True).start()
heard = Heard()

# Connecting, and the host
conn = libvirt.open(uri)
tell("setKeepAlive", conn.setKeepAlive(1, 3))
conn.registerCloseCallback(closed, heard)
tell("type", conn.getType())
tell("version", conn.getVersion())
tell("library version is a number", conn.getLibVersion() >= 9000000)
tell("hostname is that of this machine", conn.getHostname() == socket.gethostname())
tell("alive, encrypted, secure", [conn.isAlive(), conn.isEncrypted(), conn.isSecure()])
info = conn.getInfo()
tell("node: model, CPUs, NUMA cells, sockets, cores, threads", [info[0], info[2]] + info[4:])
tell("CPU map", [conn.getCPUMap()[0], conn.getCPUMap()[2]])
tell("free memory is a number", conn.getFreeMemory() > 0)
tell("capabilities name the architecture", "<arch>x86_64</arch>" in conn.getCapabilities())
tell("max vCPUs", conn.getMaxVcpus("qemu"))

# Events for the whole story
for number, callback in (
    (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
    (libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB, block_job),
    (libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, block_job_2),
):
    conn.domainEventRegisterAny(None, number, callback, heard)

# Definitions and lookups
xml = open(directory + "/python.xml").read()
domain = conn.defineXML(xml)
tell("defined", [domain.name(), domain.UUIDString(), domain.ID(), domain.isActive(), domain.isPersistent(), domain.isUpdated()])
tell("lookup by name, UUID", [conn.lookupByName(NAME).UUIDString(), conn.lookupByUUIDString(domain.UUIDString()).name()])
tell("lists", [[d.name() for d in conn.listAllDomains(flags) if d.name() == NAME] for flags in (0, 1, 2, 4, 8, 16, 32)])
tell("listDefinedDomains", NAME in conn.listDefinedDomains())
tell("OS type, memory, vCPUs", [domain.OSType(), domain.maxMemory(), domain.info()[1:4], domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_CONFIG)])
tell("state, info of a domain that is off", [domain.state(), domain.info()[0]])
tell("autostart", [domain.autostart(), domain.setAutostart(1), domain.autostart(), domain.setAutostart(0), domain.autostart()])
tell("block info", domain.blockInfo("vda")[0])
tell("title", domain.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None))
tell("metadata", domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "https://example.org/owner/1").strip())
tell("snapshots", [domain.snapshotNum(), domain.hasCurrentSnapshot(), domain.listAllSnapshots()])

# What is refused, by code and error domain
code("unknown name", lambda: conn.lookupByName("nothing"))
code("unknown UUID", lambda: conn.lookupByUUIDString("ffffffff-0000-4000-8000-000000000000"))
code("unknown id", lambda: conn.lookupByID(999999))
code("malformed definition", lambda: conn.defineXML("<domain>"))
code("no definition", lambda: conn.defineXML("<network/>"))
code("destroy when off", domain.destroy)
code("suspend when off", domain.suspend)
code("resume when off", domain.resume)
code("shutdown when off", domain.shutdown)
code("reset when off", lambda: domain.reset(0))
code("pull when off", lambda: domain.blockPull("vda", 0, 0))
code("unknown snapshot", lambda: domain.snapshotLookupByName("nothing"))
code("no current snapshot", lambda: domain.snapshotCurrent())
code("snapshot without XML", lambda: domain.snapshotCreateXML("nonsense", 0))
code("unknown disk", lambda: domain.blockInfo("vdz"))
code("unknown metadata", lambda: domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "https://example.org/none"))
code("unknown flag of start", lambda: domain.createWithFlags(1 << 30))

# Life
tell("create", domain.create())
tell("state of a running domain", domain.state())
tell("id of a running domain", domain.ID() > 0)
tell("lookup by id", conn.lookupByID(domain.ID()).name())
tell("listDomainsID", domain.ID() in conn.listDomainsID())
tell("numbers", [conn.numOfDomains() >= 1, conn.numOfDefinedDomains() >= 0])
code("create a running one", domain.create)
tell("suspend", [domain.suspend(), domain.state()])
code("suspend twice", domain.suspend)
tell("resume", [domain.resume(), domain.state()])
code("resume twice", domain.resume)
stats = conn.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_BALLOON)
tell("stats: domains", len(stats))
row = stats[0][1]
tell("stats: state and counts", [row.get(key) for key in ("state.state", "state.reason", "block.count", "block.0.name", "block.0.capacity", "balloon.maximum")])
tell("stats: counters are there", all(key in row for key in ("block.0.rd.reqs", "block.0.wr.bytes", "block.0.fl.reqs", "balloon.current")))

# Snapshot, then active commit with the pivot asked for at READY
snapshot = domain.snapshotCreateXML(
    "<domainsnapshot><name>p1</name><description>by Python</description><disks><disk name='vda' snapshot='external'/></disks></domainsnapshot>",
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC,
)
tell("snapshot", [snapshot.getName(), snapshot.isCurrent(), snapshot.hasMetadata(), snapshot.numChildren()])
tell("snapshot names", domain.snapshotListNames())
tell("current snapshot", domain.snapshotCurrent().getName())
code("parent of a root", lambda: snapshot.getParent())
tell("commit", domain.blockCommit("vda", None, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE))
tell("READY is announced", heard.wait("block-job-2", "vda", libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT, libvirt.VIR_DOMAIN_BLOCK_JOB_READY))
job = domain.blockJobInfo("vda")
tell("job at READY", [job["type"], job["cur"] == job["end"], job["end"] > 0])
code("a second job", lambda: domain.blockPull("vda", 0, 0))
tell("pivot", domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT))
tell("completion is announced", heard.wait("block-job-2", "vda", libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT, libvirt.VIR_DOMAIN_BLOCK_JOB_COMPLETED))
tell("no job", domain.blockJobInfo("vda"))
code("abort without a job", lambda: domain.blockJobAbort("vda"))
tell("snapshot deleted", snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY))

# Read-only, and a connection left alone for a while
reader = libvirt.openReadOnly(uri)
tell("read-only list", [d.name() for d in reader.listAllDomains(1)])
code("read-only destroy", reader.lookupByName(NAME).destroy)
code("read-only define", lambda: reader.defineXML(xml))
tell("read-only close", reader.close())
time.sleep(idle_seconds)
tell("after an idle time", [conn.isAlive(), domain.isActive()])

tell("destroy", domain.destroy())
tell("stop is announced", heard.wait("lifecycle", NAME, libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED))
tell("state after destroy", domain.state())
tell("undefine", domain.undefine())
tell("removal is announced", heard.wait("lifecycle", NAME, libvirt.VIR_DOMAIN_EVENT_UNDEFINED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED))
code("a domain that is gone", domain.info)

tell("events: lifecycle", without_extras(heard.of("lifecycle")))
for kind in ("block-job", "block-job-2"):
    tell("events: " + kind, heard.of(kind))
tell("not closed by the server", heard.of("closed"))
conn.unregisterCloseCallback()
tell("connections left", conn.close())
again = libvirt.openAuth(uri, [[], lambda _credentials, _data: -1, None], 0)
tell("connected again", again.isAlive())
tell("closed again", again.close())
