# regress.mk - make bench: the fleet, made of the agent's own client code (but
# dial.c, which is for one connection, and libtls) and a REST side in one process.

FLEET	= $(patsubst %.c,$(O)/obj/%.o,$(wildcard regress/bench/fleet/*.c)) \
	  $(patsubst %,$(O)/obj/agent/%.o,grpc_client h2 identity util)

$(O)/obj/regress/bench/fleet/%.o: CPPFLAGS += -Iagent
$(O)/regress/fleet: $(FLEET) $(GEN)/runner.pb-c.o $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS_fleet) $(LIBS)

LIBS_fleet = -lssl -lcrypto -lnghttp2 -lprotobuf-c -ljansson
REGRESS	+= $(O)/regress/fleet
-include $(wildcard $(O)/obj/regress/bench/fleet/*.d)
