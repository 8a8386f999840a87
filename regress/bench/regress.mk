# regress.mk - make bench: fake runners on the agent's own client code, and a
# REST load beside them in the same process.

FLEET	= $(patsubst %.c,$(O)/obj/%.o,$(wildcard regress/bench/*.c)) \
	  $(patsubst %,$(O)/obj/agent/%.o,dial grpc_client h2 identity util)

$(O)/obj/regress/bench/%.o: CPPFLAGS += -Iagent
$(O)/regress/fleet: $(FLEET) $(GEN)/runner.pb-c.o $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS_marionette-agent) $(LIBS)

REGRESS	+= $(O)/regress/fleet
