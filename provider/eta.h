/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * eta.h - the inside of the libfabric provider "eta".
 *
 * The provider formats, posts and translates; the engine (ppe/) does all the rest, progress
 * included. What is what:
 *
 *	fid_fabric	one UAL: one engine for all that is opened under this fabric
 *	fid_eq		an event queue for connection management; fabric-wide
 *	fid_pep		a message DTI that listens
 *	fid_domain	a protection domain, and one region that is all memory
 *	fid_cq		an event queue for operations
 *	fid_cntr	a counter
 *	fid_av		an address vector; an fi_addr_t is a number in it
 *	fid_ep		a message DTI: connected (FI_EP_MSG), or with an address vector (FI_EP_RDM)
 *	shared receive	a DTI that is only a receive queue
 *
 * The files, as in every libfabric provider, are one for each object: prov, info (attr, addr),
 * fabric, eq, pep, domain, mr, av, cq, cntr, poll, ep (ep_bind, ep_cm, cm), srx, stx. What endpoints
 * do is in msg, tagged, rma and atomic, which all end in post; trigger holds deferred work, and
 * nosys what is not offered.
 *
 * An event's cookie is the address of the fid that it is about. So closing an object takes its
 * events out of the queues, under the queue's lock, before its memory goes.
 *
 * Locks, outermost first: an EQ's or CQ's, a fabric's, whatever the engine takes.
 *
 * One binary serves libfabric 1.17 and 2.x: built against 1.17's headers, whose structures are the
 * beginnings of the later ones. Hence: every fi_info comes from libfabric's allocator, ops tables
 * end in spare NULL slots, and names that either header lacks are defined here.
 */
#ifndef ETA_H
#define ETA_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>
#include <rdma/fi_trigger.h>
#include <rdma/providers/fi_log.h>
#include <rdma/providers/fi_prov.h>

#include "ppe/ppe.h"

#define ETA_NAME "eta"
#define ETA_VERSION FI_VERSION(0, 1)
/* The newest interface that this provider was tested with. */
#define ETA_API_MAX FI_VERSION(2, 6)

/* ------------------------------------------------------------ what either header lacks, or warns of */

#define ETA_ADDR_SOCKADDR_IP 17 /* FI_SOCKADDR_IP */
#define ETA_MR_BASIC (1 << 0)
#define ETA_MR_SCALABLE (1 << 1)
#define ETA_ORDER_STRICT 0x1ffULL
#define ETA_PROGRESS_UNIFIED 3                /* FI_PROGRESS_CONTROL_UNIFIED */
#define ETA_TAG_GENERIC 0xaaaaaaaaaaaaaaaaULL /* 64 fields of a bit */
/* Between etas only; see fabric/roce/wire.h */
#define ETA_PROTO_ROCE (FI_PROV_SPECIFIC | 0x657401)
#define ETA_PROTO_ROCE_RDM (FI_PROV_SPECIFIC | 0x657402)
/* fi_getopt of a connected endpoint, level FI_OPT_ENDPOINT: what carries it, as a string */
#define ETA_OPT_PATH ((int)(FI_PROV_SPECIFIC | 0x657401))
#define ETA_CORE_PROV_ONLY (1ULL << 59) /* a layer asks: libfabric's own, in no public header */

#define eta_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * An ops table as libfabric 2.x may read it: behind the slots that this header knows come NULLs,
 * which is what "not offered" looks like to a header that knows more.
 */
#define ETA_OPS(type)                                                                              \
	const struct {                                                                             \
		struct type ops;                                                                   \
		void *later[16];                                                                   \
	}
/* libfabric's pointers to tables are not const; nobody writes through them. */
#define ETA_OPS_PTR(type, table) ((struct type *)(uintptr_t) & (table).ops)

/* ---------------------------------------------------------------------------------- limits */

#define ETA_CAPS_COMM (FI_LOCAL_COMM | FI_REMOTE_COMM)
#define ETA_CAPS_KINDS (FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC)
#define ETA_CAPS_TX (ETA_CAPS_KINDS | FI_SEND | FI_READ | FI_WRITE | FI_FENCE | FI_TRIGGER)
#define ETA_CAPS_RX                                                                                \
	(ETA_CAPS_KINDS | FI_RECV | FI_REMOTE_READ | FI_REMOTE_WRITE | FI_MULTI_RECV |             \
	 FI_RMA_EVENT | FI_TRIGGER)
/* A connected endpoint has one peer, so there is nobody to choose or name. */
#define ETA_CAPS_RX_RDM (ETA_CAPS_RX | FI_DIRECTED_RECV | FI_SOURCE | FI_SOURCE_ERR)

/* Flags that may be an endpoint's default, and those that calls may give in addition. */
#define ETA_TX_OP_FLAGS                                                                            \
	(FI_COMPLETION | FI_INJECT | FI_INJECT_COMPLETE | FI_TRANSMIT_COMPLETE |                   \
	 FI_DELIVERY_COMPLETE | FI_MORE | FI_FENCE)
#define ETA_RX_OP_FLAGS (FI_COMPLETION | FI_MORE | FI_MULTI_RECV)
#define ETA_TX_CALL_FLAGS (ETA_TX_OP_FLAGS | FI_TRIGGER | FI_REMOTE_CQ_DATA)
#define ETA_RX_CALL_FLAGS (ETA_RX_OP_FLAGS | FI_TRIGGER | FI_PEEK | FI_CLAIM | FI_DISCARD)

/* Read responses are made after later writes and messages may have been placed. */
#define ETA_MSG_ORDER                                                                              \
	(FI_ORDER_SAS | FI_ORDER_RAW | FI_ORDER_WAW | FI_ORDER_RAS | FI_ORDER_WAS | FI_ORDER_SAW | \
	 FI_ORDER_RMA_RAW | FI_ORDER_RMA_WAW | FI_ORDER_ATOMIC_RAR | FI_ORDER_ATOMIC_RAW |         \
	 FI_ORDER_ATOMIC_WAR | FI_ORDER_ATOMIC_WAW)

#define ETA_INJECT_SIZE 128
#define ETA_INJECT_RDMA 64 /* what devices report, unless more is asked for */
#define ETA_IOV_LIMIT 8
#define ETA_IOV_USUAL 4 /* that attributes show, unless more are asked for */
#define ETA_RMA_IOV_LIMIT PPE_RMA_MAX
#define ETA_MAX_MSG ((size_t)1 << 30)
#define ETA_ATOMIC_MAX 4096 /* bytes of one operand */
#define ETA_CQ_DATA_SIZE 8
#define ETA_MULTI_MIN 64               /* FI_OPT_MIN_MULTI_RECV, unless it is set */
#define ETA_BUFFERED ((size_t)1 << 20) /* unexpected messages: what is reported, and may be asked */
#define ETA_QUEUE_MAX 65536            /* tx_attr.size, rx_attr.size */
#define ETA_QUEUE_DEFAULT 256
#define ETA_EP_CNT 65536
#define ETA_CQ_CNT 1000
#define ETA_CNTR_CNT 1000
#define ETA_EVQ_CNT 4096 /* CQs, counters, EQs and domains of a fabric */
#define ETA_MR_CNT (1 << 20)
#define ETA_MR_KEY_SIZE 4 /* a key is an STag on the wire */
#define ETA_CM_DATA_SIZE FAB_PDATA_MAX

static_assert(ETA_INJECT_SIZE <= PPE_INLINE_MAX, "an injected message goes into its descriptor");
static_assert(ETA_IOV_LIMIT <= PPE_SGE_MAX, "a gather list goes into its descriptor");

/* ------------------------------------------------------------------------ prov.c: log, params */

extern struct fi_provider eta_prov;

#define eta_warn(subsys, ...) FI_WARN(&eta_prov, FI_LOG_##subsys, __VA_ARGS__)
#define eta_info(subsys, ...) FI_INFO(&eta_prov, FI_LOG_##subsys, __VA_ARGS__)

/* NULL: not set. */
const char *eta_param_string(const char *name);
/* @def when it is not set, or, with a warning, not within the bounds. */
size_t eta_param_size(const char *name, size_t def, size_t min, size_t max);
bool eta_param_bool(const char *name, bool def);
/* What FI_ETA_PLACEMENT says; NULL: leave it to the engine and its own environment. */
const char *eta_param_placement(void);

/* FI_ETA_PORT_RANGE, "low-high": false when it is not set. */
bool eta_param_port_range(uint16_t *low, uint16_t *high);

/* What queues of either kind share. As fi_cq_strerror: also into @buf, if there is one. */
const char *eta_strerror(int prov_errno, char *buf, size_t len);
/* -FI_ENOSYS: a wait object that is not offered; -FI_EINVAL: none that there is. */
int eta_wait_obj_check(enum fi_wait_obj obj);
/* Milliseconds, negative for ever, to a point in time; and from that to what is left, in ns. */
int64_t eta_deadline(int timeout_ms);
int64_t eta_time_left(int64_t deadline);

/* ----------------------------------------------------------------------- addr.c: addresses */

/* One address of one of this host's interfaces, or of an RDMA device. */
#define ETA_DOMAIN_LEN 64
struct eta_iface {
	struct eta_iface *next;
	union fab_addr addr; /* port 0 */
	unsigned prefix;     /* bits */
	unsigned rank;       /* small is preferred */
	bool has_link;
	bool rdma;
	char name[ETA_DOMAIN_LEN];     /* of the domain: the interface's, or the device's */
	char net[ETA_DOMAIN_LEN + 16]; /* of the fabric: "192.0.2.0/24", "roce:rxe0" */
	char netdev[16];               /* of a device: the interface that it is on */
};

/* All addresses that are up, best first: default route's, ordinary, virtual, loopback. */
int eta_iface_list(struct eta_iface **list);
void eta_iface_free(struct eta_iface *list);
/* The interface that @addr is a local address of; NULL: none. */
const struct eta_iface *eta_iface_of(const struct eta_iface *list, const union fab_addr *addr);
/* The source address that the kernel would choose towards @dest; port 0. */
int eta_addr_route(const union fab_addr *dest, union fab_addr *src);
/* @family AF_UNSPEC: either. @flags as fi_getinfo's. */
int eta_addr_resolve(const char *node, const char *service, uint64_t flags, int family,
		     union fab_addr *addr);
/* A number, "192.0.2.1" or "::1", not a name. */
bool eta_addr_parse(const char *text, union fab_addr *addr);
/* But for the port. */
bool eta_addr_same_host(const union fab_addr *a, const union fab_addr *b);
bool eta_addr_is_any(const union fab_addr *addr);
void eta_addr_any(int family, union fab_addr *addr);
/* As fi_getname: -FI_ETOOSMALL and the length that is needed. */
int eta_addr_give(const union fab_addr *addr, void *buf, size_t *len);
/* Copies a sockaddr that came without a length. */
int eta_addr_take(const void *sa, union fab_addr *addr);
/* AF_INET, AF_INET6, AF_UNSPEC for either; -1: not an address format of ours. */
int eta_addr_family(uint32_t addr_format);
uint32_t eta_addr_format(const union fab_addr *addr);

/* ------------------------------------------------------------------- device.c: RDMA devices */

/* What fabric names begin with whose wire is RDMA; the engine's name for it. */
#define ETA_ROCE "roce"

/* Addresses of the devices that are usable and may be used, in the order of the devices. */
int eta_device_list(struct eta_iface **list);
/* Does a fabric of this name go by RDMA? */
bool eta_device_fabric(const char *name);
/* $ETA_FABRIC wants devices, and nothing else. */
bool eta_device_only(void);
struct eta_fabric;
/* Can a domain of a fabric called @name be opened in @f, so that its wire is used? */
bool eta_device_fits(const struct eta_fabric *f, const char *name);
/* Nothing was found for these names (NULL: any): if devices were asked for, warns why not. */
void eta_device_explain(const char *domain, const char *fabric);

/* ------------------------------------------------------------------ info.c, attr.c: fi_getinfo */

int eta_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
		const struct fi_info *hints, struct fi_info **info);
/*
 * 0, or -FI_ENODATA when the hints ask for what endpoints of this type do not offer; addresses are not
 * looked at.
 */
int eta_attr_check(uint32_t version, enum fi_ep_type type, bool rdma, const struct fi_info *hints);
/* All that does not depend on an address. @hints were checked. */
int eta_attr_fill(uint32_t version, enum fi_ep_type type, bool rdma, const struct fi_info *hints,
		  struct fi_info *info);
/* This host's best address; of @iface (a name, or empty) if that has one of the family. */
int eta_info_own_address(int family, const char *iface, bool rdma, union fab_addr *addr);
/* Replaces an address of an fi_info; NULL takes it away. */
int eta_info_set_src(struct fi_info *info, const union fab_addr *addr);
int eta_info_set_dest(struct fi_info *info, const union fab_addr *addr);

/* -------------------------------------------------------------------------------- fabric.c */

struct eta_fabric {
	struct fid_fabric fid;
	struct ppe_ual *ual;
	bool rdma; /* its engine connects by RDMA */
	char name[ETA_DOMAIN_LEN + 16];
	atomic_int refs; /* EQs, PEPs, domains */
	pthread_mutex_t lock;
	struct eta_connreq *connreqs; /* told to the application, not answered */
	struct eta_pep *peps;
	struct eta_fabric *next; /* in the list of open fabrics */
};

int eta_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
/* The process is ending: ends the threads of what is still open. */
void eta_fabric_cleanup(void);

/* ---------------------------------------------------------------------- cm.c: set-up, names */

/*
 * A peer's request that has been reported. Its fid is what fi_info.handle names; the application
 * may hand back one that is long gone, so it is looked for, never followed.
 */
struct eta_connreq {
	struct fid fid;
	struct eta_fabric *fabric;
	struct eta_connreq *next;
	uint64_t request;
};

int eta_connreq_create(struct eta_fabric *fabric, uint64_t request, struct eta_connreq **out);
/* Takes the request out of the list: its number is the caller's to answer. -FI_EINVAL: unknown. */
int eta_connreq_take(struct eta_fabric *fabric, const struct fid *handle, uint64_t *request);
bool eta_connreq_known(struct eta_fabric *fabric, const struct fid *handle);
/* Takes and refuses. */
void eta_connreq_drop(struct eta_fabric *fabric, const struct fid *handle);
void eta_connreq_drop_all(struct eta_fabric *fabric);
/* Binds and listens; without a port of its own, on one of FI_ETA_PORT_RANGE if that is set. */
int eta_cm_listen(struct ppe_dti *dti, const union fab_addr *addr, int backlog);
/* Private data that a caller gives: -FI_EINVAL when it is too long or missing. */
int eta_cm_data_check(const void *param, size_t len);
/* FI_OPT_CM_DATA_SIZE and no other option. */
int eta_cm_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen);
int eta_cm_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen);
/* Gives an option that is a size_t. */
int eta_cm_give_size(size_t value, void *optval, size_t *optlen);

/* ------------------------------------------------------------------------------------ eq.c */

/* One event to be read: translated from the engine's, or written by the application. */
struct eta_eq_event {
	struct eta_eq_event *next;
	uint32_t event;
	bool is_error;
	bool is_cm;   /* begins with a struct fi_eq_cm_entry, else with a struct fi_eq_entry */
	bool is_told; /* the latter, and the provider's own */
	struct fi_eq_err_entry err; /* err_data points into data */
	size_t len;
	_Alignas(uint64_t) uint8_t data[];
};

struct eta_eq {
	struct fid_eq fid;
	struct eta_fabric *fabric;
	struct ppe_evq *evq;
	atomic_int refs; /* endpoints, address vectors, poll sets */
	enum fi_wait_obj wait_obj;
	bool may_write;
	atomic_bool written;  /* by the application, since a wait has looked */
	pthread_mutex_t lock; /* what follows, and the reading of evq */
	struct eta_eq_event *head, **tail;
	struct eta_eq_event *last_error; /* its err_data is valid until the next read */
};

int eta_eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr, struct fid_eq **eq,
		void *context);
/* fi_trywait. */
int eta_eq_arm(struct eta_eq *eq);
/* Destroys @dti, which may be NULL, and with it every event that is about @fid. */
void eta_eq_forget(struct eta_eq *eq, struct ppe_dti *dti, const struct fid *fid);
/* Tells of an address vector: an event, or with @err an error; @data is what fi_av says it is. */
int eta_eq_tell(struct eta_eq *eq, struct fid *fid, void *context, uint64_t data, int err);
/* For poll sets: whether there is an event. */
bool eta_eq_ready(struct eta_eq *eq);

/* ----------------------------------------------------------------------------------- pep.c */

struct eta_pep {
	struct fid_pep fid;
	struct eta_pep *next; /* of its fabric */
	struct eta_fabric *fabric;
	struct eta_eq *eq;
	struct ppe_dti *dti; /* NULL until it listens */
	struct fi_info *info;
	union fab_addr addr;
	int backlog;
};

int eta_pep_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_pep **pep,
		 void *context);
/*
 * An endpoint may be opened with a passive one as its handle, to have its address: looked for among
 * those that there are. -FI_EINVAL: none of them; -FI_EOPBADSTATE: it listens.
 */
int eta_pep_address(struct eta_fabric *fabric, const struct fid *handle, union fab_addr *addr);

/* -------------------------------------------------------------------------------- domain.c */

/* Who presents the same may get at memory, and talk. */
struct eta_auth {
	size_t len;
	uint8_t key[PPE_AUTH_MAX];
};

/* @def, of the domain, when there is none of its own. -FI_EINVAL: too long, or missing. */
int eta_auth_take(struct eta_auth *auth, uint32_t api_version, const uint8_t *key, size_t len,
		  const struct eta_auth *def);

struct eta_domain {
	struct fid_domain fid;
	struct eta_fabric *fabric;
	atomic_int refs;            /* all objects that are opened in it */
	bool lock_posts, lock_cqs;  /* the application has not promised to serialise them */
	bool provider_keys;         /* keys are ours to choose */
	bool virtual_addresses;     /* peers name memory by its address, not by an offset */
	int family;                 /* of addresses: AF_INET or AF_INET6 */
	char iface[ETA_DOMAIN_LEN]; /* the domain's name */
	struct eta_auth auth;
	struct ppe_mr all;    /* all memory, for operations that start here */
	struct ppe_pd *pd;    /* what peers may name */
	struct ppe_evq *idle; /* of those who want no events: it never has any */
	pthread_mutex_t lock; /* what follows; and the enabling of shared receive contexts */
	struct eta_cntr *cntrs;
};

int eta_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
		    void *context);

static inline struct eta_domain *eta_domain_of(struct fid_domain *fid)
{
	return eta_container(fid, struct eta_domain, fid);
}

/* ------------------------------------------------------------------------------------ mr.c */

struct eta_mr {
	struct fid_mr fid;
	struct eta_domain *domain;
	struct ppe_mr ppe;
	struct eta_cntr *cntrs[2]; /* of peers' reads, of peers' writes */
};

extern struct fi_ops_mr *const eta_mr_ops;

/* ------------------------------------------------------------------------------------ av.c */

struct eta_av {
	struct fid_av fid;
	struct eta_domain *domain;
	struct ppe_av *ppe;
	struct eta_eq *eq; /* FI_EVENT: told of insertions */
	bool tells;
	atomic_int refs; /* endpoints */
};

int eta_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **av,
		void *context);

/* ------------------------------------------------------------------------------------ cq.c */

#define ETA_CQ_BATCH 16

/*
 * Events are taken in batches and translated one by one. A failed one stays at the front, whatever
 * is behind it, until fi_cq_readerr takes it.
 */
struct eta_cq {
	struct fid_cq fid;
	struct eta_domain *domain;
	struct ppe_evq *evq;
	atomic_int refs; /* endpoints, poll sets */
	enum fi_cq_format format;
	enum fi_wait_obj wait_obj;
	enum fi_cq_wait_cond wait_cond;
	bool locked;
	atomic_bool signaled;
	pthread_mutex_t lock; /* what follows, and the reading of evq; taken when locked */
	unsigned first, last;
	struct ppe_event ev[ETA_CQ_BATCH];
	union fab_addr stranger; /* err_data of the last error, until the next read */
};

int eta_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq,
		void *context);
int eta_cq_arm(struct eta_cq *cq);
/* Forgets what is about this object. */
void eta_cq_purge(struct eta_cq *cq, const struct fid *fid);
/* For poll sets: makes progress, and says whether there is a completion. */
bool eta_cq_ready(struct eta_cq *cq);

/* ---------------------------------------------------------------------------------- cntr.c */

struct eta_cntr {
	struct fid_cntr fid;
	struct eta_domain *domain;
	struct eta_cntr *next; /* of its domain */
	struct ppe_cntr *ppe;
	struct ppe_evq *run; /* whose reading makes progress; NULL: that needs nobody */
	enum fi_wait_obj wait_obj;
	atomic_int refs; /* endpoints, regions, poll sets */
};

int eta_cntr_open(struct fid_domain *domain, struct fi_cntr_attr *attr, struct fid_cntr **cntr,
		  void *context);
int eta_cntr_arm(struct eta_cntr *cntr);
/* NULL: none of this domain. */
struct eta_cntr *eta_cntr_of(struct eta_domain *domain, struct fid_cntr *fid);
void eta_cntr_progress(struct eta_cntr *cntr);
/* fi_control's FI_FLUSH_WORK without a counter. */
void eta_cntr_flush_all(struct eta_domain *domain);

/* ---------------------------------------------------------------------------------- poll.c */

int eta_poll_open(struct fid_domain *domain, struct fi_poll_attr *attr, struct fid_poll **pollset);

/* ---------------------------------------------------------------------------------- stx.c */

/*
 * Endpoints that share a transmit context have a queue each all the same: what is shared is what an
 * application would save by it elsewhere.
 */
struct eta_stx {
	struct fid_stx fid;
	struct eta_domain *domain;
	atomic_int refs; /* endpoints */
};

int eta_stx_open(struct fid_domain *domain, struct fi_tx_attr *attr, struct fid_stx **stx,
		 void *context);

/* --------------------------------------------- ep.c, ep_bind.c, ep_cm.c, srx.c: the endpoint */

/* An endpoint, an alias of one (with default flags of its own), or a shared receive context. */
struct eta_ep {
	struct fid_ep fid;
	struct ppe_dti *dti; /* NULL until it is enabled */
	/* what a post needs, made up beforehand */
	uint32_t region, ptag;
	uint32_t send_flags, recv_flags, trecv_flags; /* PPE_POST_: of calls without flags */
	uint32_t peer_mask;    /* what of an fi_addr_t is looked at: connected, nothing */
	bool directed;         /* receives are from whom they say */
	bool tx_slow, rx_slow; /* the default flags need more than PPE_POST_ */
	bool tx_selective, rx_selective;
	struct ppe_evq *push; /* inline placement: whose engine each send runs; else NULL */

	struct eta_domain *domain;
	enum fi_ep_type type;
	struct eta_eq *eq;
	struct eta_cq *tx_cq, *rx_cq;
	struct eta_av *av;
	struct eta_stx *stx;
	struct eta_ep *srx;
	struct eta_cntr *cntrs[PPE_COUNTED];
	struct eta_ep *parent;  /* of an alias */
	struct eta_ep *aliases; /* of a parent, and the next one of an alias */
	atomic_int refs;        /* aliases; endpoints with this shared receive context */
	bool shared_tx, shared_rx;
	bool adopted; /* of a shared receive context: rx_cq is that of an endpoint */
	bool source_err;
	const struct fid *connreq; /* to be accepted; only a number once it has been answered */
	uint64_t caps;
	uint64_t tx_op_flags, rx_op_flags;
	uint32_t tx_size, rx_size;
	size_t multi_min;
	struct eta_auth auth;
	union fab_addr local, peer; /* of the fi_info; family 0: none */
};

static inline struct eta_ep *eta_ep_of(struct fid_ep *fid)
{
	return eta_container(fid, struct eta_ep, fid);
}

int eta_ep_open(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep, void *context);
int eta_srx_open(struct fid_domain *domain, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		 void *context);
/*
 * A shared receive context needs no fi_enable: its first receive, or the first endpoint that uses it,
 * does it. Receives that never met an endpoint are reported to its own CQ, or to @cq if it has none.
 */
int eta_srx_enable(struct eta_ep *srx, struct eta_cq *cq);
/* An endpoint does not use it any more. */
void eta_srx_put(struct eta_ep *srx);
int eta_ep_bind(struct fid *fid, struct fid *bfid, uint64_t flags);
int eta_ep_enable(struct eta_ep *ep);
/* From here on, it and its aliases can post. */
void eta_ep_begin(struct eta_ep *ep, struct ppe_dti *dti);
void eta_ep_unbind_all(struct eta_ep *ep);
/* What posts without flags of their own do; whenever the default flags change. */
void eta_ep_choose_flags(struct eta_ep *ep);
/* Of all that this can be: memory, defaults. */
void eta_ep_init(struct eta_ep *ep, struct eta_domain *domain);
/* The ops that endpoints and shared receive contexts share. */
int eta_ep_op_flags(struct eta_ep *ep, int command, uint64_t *flags);
ssize_t eta_ep_cancel(fid_t fid, void *context);
int eta_ep_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen);
int eta_ep_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen);
ssize_t eta_ep_rx_size_left(struct fid_ep *fid);
extern struct fi_ops_cm *const eta_msg_cm_ops;
extern struct fi_ops_cm *const eta_rdm_cm_ops;

/* ------------------------------------- post.c, and msg.c, tagged.c, rma.c, atomic.c: operations */

extern struct fi_ops_msg *const eta_msg_ops;
extern struct fi_ops_tagged *const eta_tagged_ops;
extern struct fi_ops_rma *const eta_rma_ops;
extern struct fi_ops_atomic *const eta_atomic_ops;
/* Of shared receive contexts: nothing can be sent by them. */
extern struct fi_ops_msg *const eta_srx_msg_ops;
extern struct fi_ops_tagged *const eta_srx_tagged_ops;

int eta_query_atomic(struct fid_domain *domain, enum fi_datatype datatype, enum fi_op op,
		     struct fi_atomic_attr *attr, uint64_t flags);

/* An operation that waits for a counter, and is counted by another one. */
struct eta_defer {
	struct ppe_cntr *trigger, *complete;
	uint64_t threshold;
};

/* PPE_POST_ for the flags of a call. */
uint32_t eta_tx_flags(const struct eta_ep *ep, uint64_t flags);
uint32_t eta_rx_flags(const struct eta_ep *ep, uint64_t flags);
/* Gather and scatter lists; -FI_EINVAL: too many entries, -FI_EMSGSIZE: sum. */
int eta_send_list(const struct eta_ep *ep, const struct iovec *iov, size_t count,
		  struct ppe_sge *sge, struct ppe_msg *m);
int eta_recv_list(const struct eta_ep *ep, const struct iovec *iov, size_t count,
		  struct ppe_sge *sge, struct ppe_msg *m);
/* Posts with flags of libfabric's; @defer may be NULL. */
ssize_t eta_post_tx(struct eta_ep *ep, struct ppe_msg *m, uint64_t flags,
		    const struct eta_defer *defer);
ssize_t eta_post_rx(struct eta_ep *ep, struct ppe_msg *m, uint64_t flags,
		    const struct eta_defer *defer);

/* The calls with flags, deferred or not. */
ssize_t eta_sendmsg(struct eta_ep *ep, const struct fi_msg *msg, uint64_t flags,
		    const struct eta_defer *defer);
ssize_t eta_recvmsg(struct eta_ep *ep, const struct fi_msg *msg, uint64_t flags,
		    const struct eta_defer *defer);
ssize_t eta_tsendmsg(struct eta_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags,
		     const struct eta_defer *defer);
ssize_t eta_trecvmsg(struct eta_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags,
		     const struct eta_defer *defer);
ssize_t eta_rmamsg(struct eta_ep *ep, enum ppe_op op, const struct fi_msg_rma *msg, uint64_t flags,
		   const struct eta_defer *defer);
ssize_t eta_atomicmsg(struct eta_ep *ep, enum ppe_op op, const struct fi_msg_atomic *msg,
		      const struct fi_msg_compare *compare, const struct fi_msg_fetch *fetch,
		      uint64_t flags, const struct eta_defer *defer);

static inline struct ppe_sge eta_sge(const struct eta_ep *ep, const void *buf, size_t len)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)buf,
		.len = len,
		.region = ep->region,
		.ptag = ep->ptag,
	};
}

/* What is no number in an address vector is none in the engine's either. */
static inline uint32_t eta_dest(const struct eta_ep *ep, fi_addr_t addr)
{
	return (addr < PPE_ANY ? (uint32_t)addr : PPE_ANY) & ep->peer_mask;
}

static inline uint32_t eta_source(const struct eta_ep *ep, fi_addr_t addr)
{
	return ep->directed && addr < PPE_ANY ? (uint32_t)addr : PPE_ANY;
}

/* What is posted to an endpoint that is not enabled; a shared receive context is, by that. */
ssize_t eta_post_off(struct eta_ep *ep, const struct ppe_msg *m);

/*
 * Under inline placement nobody looks until the application calls again, which it may do only after
 * its peer has answered by another way; so there a send runs the engine as well.
 */
static inline ssize_t eta_post(struct eta_ep *ep, const struct ppe_msg *m)
{
	ssize_t ret;

	if (!ep->dti)
		return eta_post_off(ep, m);
	ret = ppe_post_message(ep->dti, m);
	if (ep->push && m->op != PPE_OP_RECV && !ret && !(m->flags & PPE_POST_MORE))
		ppe_evq_read(ep->push, NULL, 0);
	return ret;
}

/* Posts of calls without flags; @m has the endpoint's send_flags or recv_flags. */
static inline ssize_t eta_post_send(struct eta_ep *ep, struct ppe_msg *m)
{
	return ep->tx_slow ? eta_post_tx(ep, m, ep->tx_op_flags, NULL) : eta_post(ep, m);
}

static inline ssize_t eta_post_recv(struct eta_ep *ep, struct ppe_msg *m)
{
	return ep->rx_slow ? eta_post_rx(ep, m, ep->rx_op_flags, NULL) : eta_post(ep, m);
}

/* ------------------------------------------------------------------------------- trigger.c */

/* fi_control of a domain: FI_QUEUE_WORK, FI_CANCEL_WORK, FI_FLUSH_WORK. */
int eta_trigger_control(struct fid *fid, int command, void *arg);
/* FI_TRIGGER: the operation's context says when. */
int eta_trigger_take(struct eta_ep *ep, struct ppe_msg *m);

#endif
