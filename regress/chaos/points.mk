# points.mk - the build in which processes die where they are told (make
# CRASH=1 O=build-crash).  What calls across two files is wrapped by the linker,
# so that no line of the product knows of it and its own build has none of it.

LDHARDEN += -Wl,--wrap=peer_init,--wrap=channel_queue \
	    -Wl,--wrap=statement_send,--wrap=statement_send_many \
	    -Wl,--wrap=conn_sync,--wrap=answer_rows
# Who dies hundreds of times is started again at once.
OPT	+= -DSTEADY_MS=0

$(O)/libimsg.a: $(O)/obj/regress/chaos/points_send.o \
    $(O)/obj/regress/chaos/points_commit.o
$(O)/obj/regress/chaos/points_commit.o: CPPFLAGS += -Istoraged \
    $(PQ_CFLAGS)
