/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 * Copyright (c) 2026 The eta authors
 *
 * Who runs the engine, who sleeps, who wakes whom.  README.md has the map to
 * the C names and the table of rules; check.py runs every variant and mutant.
 *
 * One Promela step is one access to one shared word.  The C code makes these
 * accesses seq_cst RMWs (or locked by `turn`), so interleaving is the whole
 * truth and no memory model is needed here.
 *
 * Variants:  (none)    placement adaptive: two application threads and T
 *            -DINLINE  placement inline: three threads, no T, a waiter leads
 *            -DNAPP=n  2 or 3 application threads
 *            -DFD      applications may also sleep in poll() on the EvQ's fd
 *            -DSTICKY  pollers may leave `rung` set (sticky doorbells)
 *            -DBACKLOG a turn may hit its bound and leave work behind
 *            -DEPOCH   T's density test reads `epoch`; without it T chooses
 *                      freely, which covers every heuristic there can be
 *            -DNP      with pan's -DNP: nobody runs in circles
 * Bounds:    OPS0, OPS1, OPS2 operations per thread, DATA arrivals (upper
 *            bounds: each run draws its own number at the start, so "this
 *            thread never calls again" is covered without an extra state).
 * Mutants:   -DBUG_<RULE> removes one rule.
 */
#ifndef OPS0
#define OPS0 2
#endif
#ifndef OPS1
#define OPS1 2
#endif
#ifndef OPS2
#define OPS2 0
#endif
#ifndef DATA
#define DATA 1
#endif

#ifndef NAPP
#ifdef INLINE
#define NAPP 3			/* a leader and two followers */
#else
#define NAPP 2
#endif
#endif

/* slot: 0 nobody, 1..NAPP that application thread, T the engine's thread */
#define T		9
#define ME		(me + 1)
#define A_WAITER(s)	((s) != 0 && (s) != T)

/* armed[evq] */
#define ON_FUTEX	1
#define ON_FABRIC	2
#define ON_FD		3
#define NEEDS_T(a)	((a) == ON_FUTEX || (a) == ON_FD)
#ifdef BUG_STEP_DOWN_FD
#define KEEPS_T(a)	((a) == ON_FUTEX)
#else
#define KEEPS_T(a)	NEEDS_T(a)
#endif

/* t_state */
#define GUARD		0
#define LEAD		1
#define DEEP		2

/* t_word: bits, set by fetch_or, taken by exchange */
#define RECALL		1	/* come out of DEEP: nobody leads any more */
#define HANDOVER	2	/* somebody sleeps on a futex or fd: lead */

bit turn;			/* the lock; blocking or trylock */
byte slot;			/* who may sleep in fabric_wait */
byte armed[NAPP];
bit kick;			/* eventfd beside epfd in fabric_wait */
byte ev[NAPP];			/* events in the EvQ, readable by its owner */
byte sq[NAPP];			/* 1: tail != head; 2: and its poster has kicked */
bit rung[NAPP];
bit bell[NAPP];			/* this DTI number is in the doorbell queue */
bit net;			/* epfd is readable */
#ifndef INLINE
byte t_state;
byte t_word;
bit t_asleep;			/* kernel's side of futex_wait(t_word) */
#endif
#ifdef FD
bit efd[NAPP];			/* the EvQ's eventfd */
bit on_fd[NAPP];		/* ghost: its owner sleeps on it */
#define ARMED_FD(i)	(armed[i] == ON_FD)
#ifdef INLINE
bit poke;			/* eventfd: a kick for programs in poll() */
#define FD_READABLE	(efd[me] || net || poke || backlog)
#else
#define FD_READABLE	efd[me]
#endif
#endif
#ifdef STICKY
bit sticky[NAPP];		/* in the engine's list of polled DTIs */
#endif
#ifdef BACKLOG
bit backlog;			/* taken from the fabric, not yet worked off */
#else
#define backlog		false
#endif
#ifdef EPOCH
bit polled;			/* epoch != the value T has seen */
#endif

/* What a sleeper looks at again once it holds the slot: everything that can be
 * work for the engine and that fabric_wait would not report.  Three words, one
 * step each: the doorbell queue, the number of sticky DTIs, the backlog. */
#if NAPP > 2
#define ANY(p)		(p(0) || p(1) || p(2))
#else
#define ANY(p)		(p(0) || p(1))
#endif
#define IN_QUEUE(d)	bell[d]
#define BELLS		ANY(IN_QUEUE)
#ifdef STICKY
#define IN_LIST(d)	sticky[d]
#define STICKIES	ANY(IN_LIST)
#else
#define STICKIES	false
#endif

/* A sleep that runs out takes real time: no busy loop goes through it (-DNP). */
#ifdef NP
#define TIME_OUT(label)	skip; progress_##label: skip
#else
#define TIME_OUT(label)	skip
#endif

/* ------------------------------------------------------------------ turn */

inline lock()
{
	atomic { turn == 0 -> turn = 1 }
}

inline unlock()
{
	turn = 0
}

/* Take one DTI out of the doorbell queue and empty its SQ.
 * Rule 2.1b: `rung` is cleared before the tail is read.  (pop and clear are one
 * step: a poster between them sees what it would have seen before the pop.) */
inline take_doorbell(d)
{
#ifdef BUG_RUNG_AFTER_TAIL
	atomic { bell[d] -> bell[d] = 0 };
	sq[d] = 0;
	rung[d] = 0
#else
	atomic { bell[d] -> bell[d] = 0; rung[d] = 0 };
	sq[d] = 0
#endif
}

#ifdef STICKY
/* The DTI joins the list of those whose tail every turn reads.  Sleepers must
 * know that before the tail is read, as posters do not ring any more. */
inline make_sticky(d)
{
#ifdef BUG_STICKY_AFTER_TAIL
	atomic { bell[d] -> bell[d] = 0 };
	sq[d] = 0;
	sticky[d] = 1
#else
	atomic { bell[d] -> bell[d] = 0; sticky[d] = 1 };
	sq[d] = 0
#endif
}

inline read_sticky(d)
{
	atomic { sticky[d] && sq[d] -> sq[d] = 0 }
}

/* It leaves the list: the same rule as for a doorbell. */
inline unstick(d)
{
	atomic { sticky[d] -> sticky[d] = 0; rung[d] = 0 };
	sq[d] = 0
}
#endif

/* publish; a = xchg(armed, 0); wake.  A futex sleeper is let go by armed != 1:
 * the kernel compares under its own lock. */
inline post_event(q)
{
	ev[q]++;
	atomic { was = armed[q]; armed[q] = 0 };
	if
#ifndef BUG_LEADER_NOT_KICKED
	:: atomic { was == ON_FABRIC -> kick = 1; was = 0 }
	:: atomic { was != ON_FABRIC && was != ON_FD -> was = 0 }
#else
	:: atomic { was != ON_FD -> was = 0 }
#endif
#ifdef FD
	:: atomic { was == ON_FD -> efd[q] = 1; was = 0 }
#endif
	fi
}

inline any_evq(q)
{
	if
	:: q = 0
	:: q = 1
#if NAPP > 2
	:: q = 2
#endif
	fi
}

/* One completion per turn is enough to interleave with everything else. */
inline take_arrivals()
{
	if
	:: atomic { net && !backlog -> net = 0; any_evq(q) };
		post_event(q)
#ifdef BACKLOG
	:: atomic { backlog -> backlog = 0; any_evq(q) };
		post_event(q)
	/* The bound is reached: this turn is a poster, and like any poster it
	 * looks at `slot` after it has left the work. */
	:: atomic { net && !backlog -> net = 0 };
		backlog = 1;
#ifndef BUG_BACKLOG_NOT_KICKED
		if
		:: slot != 0 -> kick = 1
		:: else
		fi
#endif
#endif
	fi;
	q = 0
}

/* A poller's turn.  It may stop anywhere, as turns are bounded: a doorbell that
 * it leaves stays in the queue.  It comes back soon, so it may leave `rung` set. */
inline poller_turn()
{
#ifdef BUG_TURN_DRAINS
	kick = 0;
#endif
	do
	:: break
	:: take_doorbell(0)
	:: take_doorbell(1)
#if NAPP > 2
	:: take_doorbell(2)
#endif
#ifdef STICKY
	:: make_sticky(0)
	:: make_sticky(1)
	:: read_sticky(0)
	:: read_sticky(1)
#if NAPP > 2
	:: make_sticky(2)
	:: read_sticky(2)
#endif
#endif
	:: net || backlog ->
		take_arrivals();
		break
	od
}

/* The turn of somebody who is about to sleep, or who comes from there: it takes
 * what there is and leaves no sticky DTI behind.  A turn that finds nothing
 * (more) is one step.  That is exact: only turns take things away, so what is
 * not there now was not there a step ago either. */
inline sleeper_turn()
{
#ifdef BUG_TURN_DRAINS
	kick = 0;
#endif
	do
	:: !BELLS && !STICKIES && !net && !backlog -> break
	:: take_doorbell(0)
	:: take_doorbell(1)
#if NAPP > 2
	:: take_doorbell(2)
#endif
#ifdef STICKY
	:: unstick(0)
	:: unstick(1)
#if NAPP > 2
	:: unstick(2)
#endif
#endif
	:: !BELLS && !STICKIES && (net || backlog) ->
		take_arrivals();
		break
	od
}

/* ------------------------------------------------------- waking T (adaptive) */

#ifndef INLINE
/* t_word first, then t_state: T writes t_state first, then lets the kernel look
 * at t_word.  One of the two sees the other. */
inline hand_over(why)
{
#ifdef BUG_STATE_BEFORE_WORD
	was = (t_state != LEAD);
	t_word = t_word | why;
	if
	:: was -> t_asleep = 0
	:: else
	fi;
	was = 0
#else
	t_word = t_word | why;
	if
	:: t_state != LEAD -> t_asleep = 0	/* futex_wake */
	:: else
	fi
#endif
}
#endif

/* ------------------------------------------------------- application thread */

/* slot != 0: somebody may be asleep, so do the sending or wake it.
 * slot == 0: somebody polled lately or is about to look; deferred mode returns,
 * eager mode tries to send and leaves it to the holder if it can't.  (With no
 * T, a program in poll() is a sleeper that holds no slot.) */
#define BY_SLOT		1
#define BY_FD		2

inline look_for_sleeper()
{
	was = (slot -> BY_SLOT : 0);
#ifdef INLINE
#ifdef FD
#ifndef BUG_INLINE_FD_NOT_SEEN
	if
	:: was
	:: !was && ANY(ARMED_FD) -> was = BY_FD
	:: !was && !ANY(ARMED_FD)
	fi
#endif
#endif
#endif
}

inline post()
{
#ifdef BUG_SLOT_BEFORE_RING
	look_for_sleeper();
#endif
	sq[me] = (sq[me] -> sq[me] : 1);
	if
	:: atomic { rung[me] -> skip }
	:: atomic { !rung[me] -> rung[me] = 1 };
		bell[me] = 1
	fi;
#ifndef BUG_SLOT_BEFORE_RING
	look_for_sleeper();
#endif
	if
	:: was == 0			/* deferred */
	:: atomic { turn == 0 -> turn = 1 };
		sq[me] = 0;		/* transmit-only turn for this DTI */
		unlock()
	/* The holder may have passed our queue.  If the slot is free by now, its
	 * last owner has yet to run a turn: no kick. */
	:: atomic { was == BY_SLOT && turn -> sq[me] = (sq[me] -> 2 : 0) };
#ifndef BUG_POST_NO_KICK
		if
		:: slot -> kick = 1
		:: else
		fi
#endif
#ifdef INLINE
#ifdef FD
	:: atomic { was == BY_FD && turn -> skip };
#ifndef BUG_INLINE_FD_NO_POKE
		poke = 1
#endif
#endif
#endif
	fi;
	was = 0
}

inline poll()
{
	if
	:: ev[me] > 0 -> ev[me]--
	:: else ->
		if
		:: atomic { turn == 0 -> turn = 1 };
			poller_turn();
#ifdef EPOCH
			polled = 1;
#endif
#ifdef BUG_POLLER_CLEARS_SLOT
			slot = 0;
#endif
			unlock()
		:: turn
		fi
#ifdef FD
		;
		/* after many empty polls the fd mode is over */
		if
		:: armed[me] == ON_FD -> armed[me] = 0
		:: true
		fi
#endif
	fi
}

/* The leader goes.  Drain before release: a kick that comes after `slot` is
 * free belongs to the next sleeper. */
inline leave_slot()
{
#ifdef BUG_RELEASE_FIRST
	slot = 0;
	armed[me] = 0;
	kick = 0;
#else
	kick = 0;
	armed[me] = 0;
	slot = 0;
#endif
	pass_on()
}

#ifdef INLINE
/* Nobody else will lead: let the followers fight for it. */
inline wake_follower(j)
{
	if
	:: atomic { armed[j] == ON_FUTEX -> armed[j] = 0 }
	:: else
	fi
}

inline pass_on()
{
#ifndef BUG_FOLLOWERS_NOT_WOKEN
	wake_follower(0);
	wake_follower(1);
	wake_follower(2)
#else
	skip
#endif
}
#else
/* T leads for those who stay, or at least looks again if it was told that it
 * need not. */
inline lead_for(j)
{
	if
	:: NEEDS_T(armed[j]) -> hand_over(HANDOVER)
	:: else
	fi
}

inline pass_on()
{
#ifndef BUG_LEAVE_NO_RECALL
	if
	:: t_state == DEEP -> hand_over(RECALL)
	:: else
	fi;
#endif
#ifdef BUG_LEAVE_NO_HANDOVER
	skip
#else
#if NAPP > 2
	lead_for((me + 2) % NAPP);
#endif
	lead_for((me + 1) % NAPP)
#endif
}
#endif

/* wait(evq, t).  Every sleep either runs out at a moment of its own, or lasts
 * until it is ended. */
inline wait()
{
	skip;
again:
	if
	:: ev[me] > 0 -> ev[me]--; goto done
	:: else
	fi;
	if
	:: atomic { turn == 0 -> turn = 1 };
		sleeper_turn();
		unlock();
		if
		:: ev[me] > 0 -> ev[me]--; goto done
		:: else
		fi
	:: turn
	fi;
	if
	:: slot == 0
#ifdef INLINE
	:: else -> goto follow
#else
	/* C leads only if nobody else is armed, to spare T some wakes.  The
	 * choice is free here: nothing rests on it. */
	:: goto follow
#endif
	fi;
	/* Slot first, then arm.  The other way round, a turn that has published
	 * an event this thread has read already can disarm it, and the kick
	 * that says so goes to whoever sleeps in the slot in between. */
#ifdef BUG_ARM_BEFORE_SLOT
	armed[me] = ON_FABRIC;
#endif
	if
	:: atomic { slot == 0 -> slot = ME }
	:: else -> goto follow
	fi;
#ifndef BUG_ARM_BEFORE_SLOT
#ifndef BUG_LEADER_NOT_ARMED
	armed[me] = ON_FABRIC;
#endif
#endif
	/* re-check, slot held: posters from here on see it */
#ifndef BUG_LEADER_NO_RECHECK
	if
	:: BELLS -> goto leave
	:: else
	fi;
#endif
#ifdef STICKY
#ifndef BUG_STICKY_NO_RECHECK
	if
	:: STICKIES -> goto leave
	:: else
	fi;
#endif
#endif
#ifdef BACKLOG
#ifndef BUG_BACKLOG_NO_RECHECK
	if
	:: backlog -> goto leave
	:: else
	fi;
#endif
#endif
#ifndef BUG_LEADER_NO_EVQ_RECHECK
	if
	:: ev[me] > 0 -> goto leave
	:: else
	fi;
#endif
	if				/* fabric_wait: sleeps */
	:: true -> net || kick
	:: true -> TIME_OUT(p1)
	fi;
leave:
	leave_slot();
	/* Before it returns, and not by trylock: a poster that has seen `slot`
	 * relies on the turn that follows its release; and to try again and
	 * again would starve a holder on the same core. */
#ifdef BUG_LEAVE_NO_TURN
	goto woken;
#endif
#ifdef BUG_LEAVE_TRYLOCK
	if
	:: atomic { turn == 0 -> turn = 1 }
	:: turn -> goto woken
	fi;
#else
	lock();
#endif
	sleeper_turn();
	unlock();
	goto woken;

follow:
	armed[me] = ON_FUTEX;
#ifndef BUG_FOLLOWER_NO_RECHECK
	if
	:: ev[me] > 0 -> goto disarm
	:: else
	fi;
#endif
#ifdef INLINE
#ifndef BUG_FOLLOWER_NO_SLOT_RECHECK
	if				/* the leader has gone: lead */
	:: slot == 0 -> goto disarm
	:: else
	fi;
#endif
#else
#ifndef BUG_FOLLOWER_NO_HANDOVER
	if
	:: A_WAITER(slot)
	:: else -> hand_over(HANDOVER)
	fi;
#endif
#endif
	if				/* futex_wait(armed, 1): sleeps */
	:: true -> armed[me] != ON_FUTEX
	:: true -> TIME_OUT(p2)
	fi;
disarm:
	armed[me] = 0;
woken:
	if
	:: goto again
	:: true				/* time is up */
	fi;
done:
	skip
}

#ifdef FD
/* fi_trywait, then poll() on the fd.  A time-out stands for any other fd of the
 * program becoming ready: `armed` then stays behind.
 *
 * With no T, poll() watches the fabric as well, and `poke`, an eventfd of its
 * own: a leader's kick must not wake it.  Anyone may drain it who runs a turn
 * afterwards, as who poked has rung before.
 */
inline wait_fd()
{
	skip;
arm:
	if
	:: ev[me] > 0 -> goto readable
	:: else
	fi;
#ifdef INLINE
#ifndef BUG_INLINE_FD_NO_DRAIN
	poke = 0;
#endif
#ifndef BUG_INLINE_FD_NO_TURN
	lock();
	sleeper_turn();
	unlock();
#endif
#endif
#ifndef BUG_FD_DRAIN_LATE
	efd[me] = 0;
#endif
	armed[me] = ON_FD;
#ifndef BUG_FD_NO_RECHECK
	if
	:: ev[me] > 0 -> armed[me] = 0; goto readable
	:: else
	fi;
#endif
#ifdef INLINE
#ifndef BUG_INLINE_FD_NO_RECHECK
	if
	:: BELLS -> armed[me] = 0; goto readable
	:: else
	fi;
#ifdef STICKY
#ifndef BUG_INLINE_FD_NO_STICKY_RECHECK
	if
	:: STICKIES -> armed[me] = 0; goto readable
	:: else
	fi;
#endif
#endif
#endif
#endif
#ifdef BUG_FD_DRAIN_LATE
	efd[me] = 0;
#endif
#ifndef INLINE
#ifndef BUG_FD_NO_HANDOVER
	/* slot == T: it leads, and looks at who is armed before it steps down */
	if
	:: slot != 0
	:: else -> hand_over(HANDOVER)
	fi;
#endif
#endif
	if
	:: atomic { true -> on_fd[me] = 1 };
		atomic { FD_READABLE -> on_fd[me] = 0 }
#ifdef INLINE
		;
		lock();			/* woken, it reads the EvQ */
		sleeper_turn();
		unlock()
#endif
		;
		if
		:: goto arm
		:: true
		fi
	:: true
	fi;
readable:
	if
	:: ev[me] > 0 -> ev[me]--
	:: else
	fi
}
#endif

proctype application(byte me; byte left)
{
	byte was, q;

	do
	:: atomic { left > 0 -> left-- };
		if		/* `true` keeps each op's own `else` its own */
		:: true -> post()
		:: true -> poll()
		:: true -> wait()
#ifdef FD
		:: true -> wait_fd()
#endif
		fi
	od
}

/* ------------------------------------------------------ the engine's thread T */

#ifndef INLINE
/* "Did anybody poll lately?"  A heuristic: nothing may rest on the answer. */
#ifdef EPOCH
#define POLLED		polled
#define NOT_POLLED	!polled
#else
#define POLLED		true
#define NOT_POLLED	true
#endif

proctype engine_thread()
{
	byte was, q, word;

guard:
	t_state = GUARD;
#ifdef EPOCH
	polled = 0;
#endif
	if
	:: atomic { t_word == 0 -> t_asleep = 1 };
		/* Either this guard runs out at some moment of its own, or it is
		 * so long that everybody else comes to rest first.  The second
		 * is where LATE is looked for. */
		if
		:: true -> t_asleep == 0
#ifndef BUG_GUARD_UNTIMED
		:: true -> TIME_OUT(p1); t_asleep = 0
#endif
		fi
	:: else
	fi;
woken:
	atomic { word = t_word; t_word = 0 };
	if
	:: atomic { word & HANDOVER -> word = 0 }; goto lead
	:: atomic { else -> word = 0 }
	fi;
	if
	:: A_WAITER(slot) -> goto deep
	:: else
	fi;
	if
	:: POLLED -> goto guard
	:: NOT_POLLED -> goto lead
	fi;

deep:
	t_state = DEEP;
#ifndef BUG_DEEP_NO_RECHECK
	if
	:: !A_WAITER(slot) -> goto guard
	:: else
	fi;
#endif
	if
	:: atomic { t_word == 0 -> t_asleep = 1 };
		t_asleep == 0		/* no time-out */
	:: else
	fi;
	goto woken;

lead:
	t_state = LEAD;
#ifdef EPOCH
	polled = 0;
#endif
lead_on:
	lock();
	sleeper_turn();
	unlock();
	/* step down? */
	if
	:: POLLED ->
#ifndef BUG_STEP_DOWN_ARMED
		if
		:: KEEPS_T(armed[0]) -> goto sleep
		:: else
		fi;
		if
		:: KEEPS_T(armed[1]) -> goto sleep
		:: else
		fi;
#if NAPP > 2
		if
		:: KEEPS_T(armed[2]) -> goto sleep
		:: else
		fi;
#endif
#endif
		goto guard
	:: NOT_POLLED
	fi;
sleep:
	if
	:: atomic { slot == 0 -> slot = T }
	:: else -> goto guard		/* a waiter leads */
	fi;
#ifndef BUG_T_NO_RECHECK
	if
	:: BELLS -> slot = 0; goto lead_on
	:: else
	fi;
#endif
#ifdef STICKY
#ifndef BUG_STICKY_NO_RECHECK
	if
	:: STICKIES -> slot = 0; goto lead_on
	:: else
	fi;
#endif
#endif
#ifdef BACKLOG
#ifndef BUG_BACKLOG_NO_RECHECK
	if
	:: backlog -> slot = 0; goto lead_on
	:: else
	fi;
#endif
#endif
	net || kick;			/* fabric_wait: sleeps */
#ifdef BUG_RELEASE_FIRST
	slot = 0;
	kick = 0;
#else
	kick = 0;
	slot = 0;
#endif
	goto lead_on
}
#endif

/* ------------------------------------------------------------- the properties
 *
 * They are properties of rest: `timeout` is true when no process can move, that
 * is, when every thread sleeps or will never call again and the network is
 * silent.  Whatever is undone then stays undone (LOST), or waits for the guard
 * to run out (LATE).  Deadlocks survive partial-order reduction, so this is
 * exact; and as every sleep is modelled as "may be longer than everything
 * else", no time-out is counted on except where RESCUED says so.
 *
 * At rest a process can stand only in one of its sleeps (a lock that is free
 * would let it move, and `stuck` checks that it is free).  So armed == 1 means
 * asleep on the futex, and slot == i + 1 means that i sleeps in fabric_wait.
 */
#ifdef FD
#define ASLEEP_FD(i)	on_fd[i]
#else
#define ASLEEP_FD(i)	false
#endif
#ifdef INLINE
#define FOLLOWS(i)	(armed[i] == ON_FUTEX)	/* in poll() it needs no leader */
#else
#define FOLLOWS(i)	(armed[i] == ON_FUTEX || ASLEEP_FD(i))
#endif
#define ASLEEP(i)	(armed[i] == ON_FUTEX || ASLEEP_FD(i) || slot == (i) + 1)

#define POSTED(i)	sq[i]
#define KICKED(i)	(sq[i] == 2)
#define MISSED(i)	(ASLEEP(i) && ev[i] > 0)

#ifdef INLINE
/* Manual progress: with nobody inside a wait, nobody has promised anything. */
#define RESCUED		(!ANY(ASLEEP))
#elif defined(BUG_GUARD_UNTIMED)
#define RESCUED		false
#else
/* T's guard runs out, finds no leader, and leads.  With a leader it would go
 * DEEP instead and do no work. */
#define RESCUED		(t_state == GUARD && t_asleep && slot == 0)
#endif

inline pick(n, max)
{
	select(n : 0 .. max)
}

init {
	bit rescued, stuck;
	bit lost_doorbell, lost_data, lost_backlog, lost_event;
	bit late_waiter, late_post;
	byte n;

	atomic {
#ifndef INLINE
		run engine_thread();
#endif
		pick(n, OPS0); run application(0, n);
		pick(n, OPS1); run application(1, n);
#if NAPP > 2
		pick(n, OPS2); run application(2, n);
#endif
		pick(n, DATA)
	}
	do
	:: atomic { n > 0 && !net -> net = 1; n-- }	/* data arrives */
	:: timeout -> break
	od;
	atomic {
		stuck = turn;
		assert(!stuck);
		rescued = RESCUED;
		lost_doorbell = !rescued && ANY(POSTED);
		assert(!lost_doorbell);
		lost_data = !rescued && net;
		assert(!lost_data);
		lost_backlog = !rescued && backlog;
		assert(!lost_backlog);
		lost_event = ANY(MISSED);
		assert(!lost_event);
		/* a waiter on its futex or fd, and nobody leads */
		late_waiter = ANY(FOLLOWS) && slot == 0;
		assert(!late_waiter);
		/* its poster saw `slot` taken: it may not wait for a guard */
		late_post = ANY(KICKED);
		assert(!late_post)
	}
}
