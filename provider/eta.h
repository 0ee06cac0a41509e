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
 *	fid_domain	a namespace of memory regions, and one region that is all memory
 *	fid_cq		an event queue for sends and receives
 *	fid_ep		a message DTI
 *
 * The files, as in every libfabric provider, are one for each object: prov, info (attr, addr),
 * fabric, eq, pep, domain, mr, cq, ep (cm, msg). nosys.c holds what is not offered.
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
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
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
#define ETA_PROGRESS_UNIFIED 3          /* FI_PROGRESS_CONTROL_UNIFIED */
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
#define ETA_CAPS_TX (FI_MSG | FI_SEND)
#define ETA_CAPS_RX (FI_MSG | FI_RECV)
#define ETA_CAPS (ETA_CAPS_TX | ETA_CAPS_RX | ETA_CAPS_COMM)

/* Flags of one operation. Delivery-complete needs an answer of the peer's, which a Send has not. */
#define ETA_TX_OP_FLAGS                                                                            \
	(FI_COMPLETION | FI_INJECT | FI_INJECT_COMPLETE | FI_TRANSMIT_COMPLETE | FI_MORE)
#define ETA_RX_OP_FLAGS (FI_COMPLETION | FI_MORE)

#define ETA_INJECT_SIZE 128
#define ETA_IOV_LIMIT 8
#define ETA_MAX_MSG ((size_t)1 << 30)
#define ETA_QUEUE_MAX 65536 /* tx_attr.size, rx_attr.size */
#define ETA_QUEUE_DEFAULT 256
#define ETA_EP_CNT 65536
#define ETA_CQ_CNT 1000
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

/* What queues of either kind share. As fi_cq_strerror: also into @buf, if there is one. */
const char *eta_strerror(int prov_errno, char *buf, size_t len);
/* -FI_ENOSYS: a wait object that is not offered; -FI_EINVAL: none that there is. */
int eta_wait_obj_check(enum fi_wait_obj obj);
/* Milliseconds, negative for ever, to a point in time; and from that to what is left, in ns. */
int64_t eta_deadline(int timeout_ms);
int64_t eta_time_left(int64_t deadline);

/* ----------------------------------------------------------------------- addr.c: addresses */

/* One address of one of this host's interfaces. */
struct eta_iface {
	struct eta_iface *next;
	union fab_addr addr; /* port 0 */
	unsigned prefix;     /* bits */
	unsigned rank;       /* small is preferred */
	bool has_link;
	char name[16];
	char net[FAB_ADDR_STRLEN]; /* "192.0.2.0/24" */
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

/* ------------------------------------------------------------------ info.c, attr.c: fi_getinfo */

int eta_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
		const struct fi_info *hints, struct fi_info **info);
/* 0, or -FI_ENODATA when the hints ask for what is not offered; addresses are not looked at. */
int eta_attr_check(uint32_t version, const struct fi_info *hints);
/* All that does not depend on an address. @hints were checked. */
void eta_attr_fill(uint32_t version, const struct fi_info *hints, struct fi_info *info);
/* Replaces an address of an fi_info; NULL takes it away. */
int eta_info_set_src(struct fi_info *info, const union fab_addr *addr);
int eta_info_set_dest(struct fi_info *info, const union fab_addr *addr);

/* -------------------------------------------------------------------------------- fabric.c */

struct eta_fabric {
	struct fid_fabric fid;
	struct ppe_ual *ual;
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
/* Private data that a caller gives: -FI_EINVAL when it is too long or missing. */
int eta_cm_data_check(const void *param, size_t len);
/* FI_OPT_CM_DATA_SIZE and no other option. */
int eta_cm_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen);
int eta_cm_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen);

/* ------------------------------------------------------------------------------------ eq.c */

/* One event to be read: translated from the engine's, or written by the application. */
struct eta_eq_event {
	struct eta_eq_event *next;
	uint32_t event;
	bool is_error;
	bool is_cm; /* begins with a struct fi_eq_cm_entry, else with a struct fi_eq_entry */
	struct fi_eq_err_entry err; /* err_data points into data */
	size_t len;
	_Alignas(uint64_t) uint8_t data[];
};

struct eta_eq {
	struct fid_eq fid;
	struct eta_fabric *fabric;
	struct ppe_evq *evq;
	atomic_int refs; /* endpoints */
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
/* Destroys @dti, and with it every event that is about @fid. */
void eta_eq_forget(struct eta_eq *eq, struct ppe_dti *dti, const struct fid *fid);

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

#define ETA_MR_BUCKETS 1024

struct eta_domain {
	struct fid_domain fid;
	struct eta_fabric *fabric;
	atomic_int refs;                    /* CQs, endpoints, memory regions */
	bool lock_posts, lock_cqs;          /* the application has not promised to serialise them */
	bool provider_keys;                 /* FI_MR_BASIC: keys are ours to choose */
	struct ppe_mr all;                  /* all memory, for sends and receives */
	pthread_mutex_t lock;               /* what follows */
	struct eta_mr *mrs[ETA_MR_BUCKETS]; /* by key */
};

int eta_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
		    void *context);

/* ------------------------------------------------------------------------------------ mr.c */

struct eta_mr {
	struct fid_mr fid;
	struct eta_domain *domain;
	struct eta_mr *next; /* in its bucket */
	struct ppe_mr ppe;
};

extern struct fi_ops_mr *const eta_mr_ops;

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
	atomic_int refs; /* endpoints */
	enum fi_cq_format format;
	enum fi_wait_obj wait_obj;
	enum fi_cq_wait_cond wait_cond;
	bool locked;
	atomic_bool signaled;
	pthread_mutex_t lock; /* what follows, and the reading of evq; taken when locked */
	unsigned first, last;
	struct ppe_event ev[ETA_CQ_BATCH];
};

int eta_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq,
		void *context);
int eta_cq_arm(struct eta_cq *cq);
/* Forgets what is about this object. */
void eta_cq_purge(struct eta_cq *cq, const struct fid *fid);

/* -------------------------------------------------------------------------- ep.c, msg.c */

struct eta_ep {
	struct fid_ep fid;
	struct ppe_dti *dti; /* NULL until it is enabled */
	/* what a post needs, computed when the endpoint is enabled */
	uint32_t region, ptag;
	uint16_t send_flags, recv_flags; /* PPE_POST_: of calls without flags of their own */
	struct ppe_evq *push; /* inline placement: whose engine each send runs; else NULL */
	bool tx_selective, rx_selective;

	struct eta_domain *domain;
	struct eta_eq *eq;
	struct eta_cq *tx_cq, *rx_cq;
	const struct fid *connreq; /* to be accepted; only a number once it has been answered */
	uint64_t caps;
	uint64_t tx_op_flags, rx_op_flags;
	uint32_t tx_size, rx_size;
	union fab_addr local, peer; /* of the fi_info; family 0: none */
};

int eta_ep_open(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep, void *context);
extern struct fi_ops_msg *const eta_msg_ops;
/* Of an endpoint that is not enabled: each call says so. */
extern struct fi_ops_msg *const eta_msg_disabled_ops;
/* Failures of injected messages have no context to be reported with. */
extern const char eta_inject_tag;

static inline struct eta_ep *eta_ep_of(struct fid_ep *fid)
{
	return eta_container(fid, struct eta_ep, fid);
}

#endif
