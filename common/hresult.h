/**
 * HRESULTs that KMS clients, KMS hosts and this program report: one table with the code, its
 * Windows symbol, what it means, the usual cause and what to do next.
 *
 * `explain CODE`, the result of discover, the events of the publisher and the answers of the KMS
 * core all read this table, so a code is explained in one way everywhere. The texts are ours.
 */
#ifndef KMSBEACON_COMMON_HRESULT_H
#define KMSBEACON_COMMON_HRESULT_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
/* X(NAME, code, "symbol", "meaning", "usual cause", "next step") */
#define HRESULT_MAP(X) \
	X(OK, 0x00000000u, "S_OK", \
	  "success", \
	  "nothing is wrong", \
	  "nothing to do") \
	X(BINDING_SERVICE_UNAVAILABLE, 0xC004F074u, "SL_E_VL_BINDING_SERVICE_UNAVAILABLE", \
	  "no KMS host could be contacted, or every one answered with an error", \
	  "the service is stopped, TCP 1688 is blocked, or an SRV or address record is stale", \
	  "probe each published host (kmsbeacon verify) and read every event 12288 of the attempt") \
	X(NOT_ENOUGH_COUNT, 0xC004F038u, "SL_E_VL_NOT_ENOUGH_COUNT", \
	  "the KMS host answered, but its count is below the threshold of the product", \
	  "too few machines (25 clients, 5 servers or Office), cloned client machine ids, or a " \
	  "count split over several hosts", \
	  "compare the count on the host (slmgr /dli) with the threshold and look for repeated ids") \
	X(BINDING_SERVICE_NOT_ENABLED, 0xC004F039u, "SL_E_VL_BINDING_SERVICE_NOT_ENABLED", \
	  "the KMS service is not enabled on the host, or it did not respond", \
	  "the target is no KMS host, or TCP 1688 is filtered on the way", \
	  "check that the published target really is a KMS host and reachable on its port") \
	X(HOST_NOT_ACTIVATED, 0xC004F041u, "SL_E_VL_KEY_MANAGEMENT_SERVICE_NOT_ACTIVATED", \
	  "the KMS host itself is not activated", \
	  "its host key was installed but never activated", \
	  "activate the host, then try again") \
	X(HOST_MISMATCH, 0xC004F042u, "SL_E_VL_KEY_MANAGEMENT_SERVICE_ID_MISMATCH", \
	  "the KMS host cannot serve this product", \
	  "an Office host was asked for Windows or the reverse, the host key is too old, or a lab " \
	  "host was reached", \
	  "clear the host on the client (slmgr /ckms) and point it to a host for the product") \
	X(NOT_WINDOWS_SLP, 0xC004F035u, "SL_E_VL_NOT_WINDOWS_SLP", \
	  "the volume key needs a machine with a qualifying operating system", \
	  "the firmware carries no marker of an OEM licence", \
	  "check the OEM licence of the machine, or use a MAK") \
	X(INVALID_TIMESTAMP, 0xC004F06Cu, "SL_E_VL_INVALID_TIMESTAMP", \
	  "the clocks of client and KMS host differ by more than 4 hours (UTC)", \
	  "no time synchronisation on one of them; the time zone does not matter", \
	  "set both clocks by NTP, then try again") \
	X(HARDWARE_TOLERANCE, 0xC004F00Fu, "SL_E_OUT_OF_TOLERANCE", \
	  "the hardware of the machine changed beyond tolerance", \
	  "a new mainboard, or an image moved to other hardware", \
	  "activate again (slmgr /ato) or restart the client") \
	X(MACHINE_NOT_BOUND, 0xC004F056u, "SL_E_VL_MACHINE_NOT_BOUND", \
	  "the product could not be activated using KMS", \
	  "a summary code; the events of the attempt hold the cause", \
	  "read events 12288 and 12289 of the attempt on the client") \
	X(VM_NOT_SUPPORTED, 0xC004F06Bu, "SL_E_VL_KEY_MANAGEMENT_SERVICE_VM_NOT_SUPPORTED", \
	  "the KMS host does not work in this virtual machine mode", \
	  "the host runs on an unsupported hypervisor", \
	  "move the KMS host to a supported one") \
	X(GRACE_EXPIRED, 0xC004F009u, "SL_E_GRACE_TIME_EXPIRED", \
	  "the grace period has expired", \
	  "the client reached no KMS host in time", \
	  "activate now (slmgr /ato) and look at discovery if that fails") \
	X(NO_PRODUCT_KEY, 0xC004F014u, "SL_E_PKEY_NOT_INSTALLED", \
	  "no product key is installed", \
	  "the client setup key was removed or never installed", \
	  "install the KMS client setup key of the edition") \
	X(BAD_CONFIRMATION_ID, 0xC004F02Cu, "SL_E_CIDIID_INVALID_DATA", \
	  "the data of an offline activation is not valid", \
	  "a confirmation id was mistyped", \
	  "enter the confirmation id again") \
	X(KEY_INVALID, 0xC004F050u, "SL_E_INVALID_PRODUCT_KEY", \
	  "the product key is not valid", \
	  "a key of another edition, or typed wrongly", \
	  "install the key that belongs to the edition") \
	X(KEY_BLOCKED, 0xC004F051u, "SL_E_BLOCKED_PRODUCT_KEY", \
	  "the product key is blocked", \
	  "the licensing server withdrew the key", \
	  "use another key") \
	X(NON_GENUINE_EXPIRED, 0xC004F064u, "SL_E_NONGENUINE_GRACE_TIME_EXPIRED", \
	  "the non-genuine grace period has expired", \
	  "the system did not pass the genuine check in time", \
	  "repair the cause the genuine check named, then activate") \
	X(NON_GENUINE_GRACE, 0x4004F065u, "SL_I_NONGENUINE_GRACE_PERIOD", \
	  "the system runs within the non-genuine grace period", \
	  "the system did not pass the genuine check", \
	  "repair the cause the genuine check named, then activate") \
	X(NON_GENUINE_GRACE_E, 0xC004F065u, "", \
	  "the system runs within the non-genuine grace period (as Microsoft's page prints it)", \
	  "the same state as 0x4004F065, which is the code that Windows returns", \
	  "repair the cause the genuine check named, then activate") \
	X(NOT_GENUINE, 0xC004F200u, "SL_E_NOT_GENUINE", \
	  "the system is not genuine", \
	  "the genuine check failed", \
	  "repair the cause the genuine check named, then activate") \
	X(SKU_NOT_FOUND, 0xC004F069u, "SL_E_MISMATCHED_PRODUCT_SKU", \
	  "the product was not found", \
	  "key and edition do not belong together", \
	  "install the key that belongs to the edition") \
	X(SERVICE_STOPPING, 0xC004F075u, "SL_E_SERVICE_STOPPING", \
	  "the licensing service is stopping", \
	  "a restart is under way", \
	  "try again in a moment") \
	X(AD_OBJECT_INVALID, 0xC004F081u, "SL_E_VL_AD_AO_NOT_FOUND", \
	  "the activation object in Active Directory is missing or invalid", \
	  "this is Active Directory activation, not KMS", \
	  "check the activation object, or set the activation type to KMS (slmgr /act-type 2)") \
	X(ACTIVATED_CHECK_RIGHTS, 0x4004F040u, "SL_E_VL_INFO_PRODUCT_USER_RIGHT", \
	  "activated, but the owner should verify the product use rights", \
	  "informational", \
	  "nothing to do for the activation") \
	X(KEY_OVERUSED, 0xC004C008u, "SL_E_CHPA_MAXIMUM_UNLOCK_EXCEEDED", \
	  "the KMS host key was used too often", \
	  "a host key activates up to 6 hosts, each again up to 9 times", \
	  "ask the activation centre for more activations of the host key") \
	X(DNS_FORMERR, 0x80072329u, "DNS_ERROR_RCODE_FORMAT_ERROR", \
	  "FORMERR: the DNS server could not read the request", \
	  "a very old or broken server, or a device that changes DNS on the way", \
	  "ask the server directly (dig) and compare with another server") \
	X(DNS_SERVFAIL, 0x8007232Au, "DNS_ERROR_RCODE_SERVER_FAILURE", \
	  "SERVFAIL: the DNS server failed, or none could be reached", \
	  "DNS servers down, port 53 filtered, a broken delegation or DNSSEC", \
	  "check the DNS servers of the machine and the log of the server that answered") \
	X(DNS_NXDOMAIN, 0x8007232Bu, "DNS_ERROR_RCODE_NAME_ERROR", \
	  "NXDOMAIN: the DNS name does not exist", \
	  "no SRV record under the suffixes of the machine, publishing is off, or a manual host " \
	  "name is wrong", \
	  "compare the suffixes of the client with the domains that publish _vlmcs._tcp, and check the " \
	  "name of a manual host") \
	X(DNS_NOTIMP, 0x8007232Cu, "DNS_ERROR_RCODE_NOT_IMPLEMENTED", \
	  "NOTIMP: the DNS server does not do this", \
	  "for an update: the server has no dynamic update", \
	  "publish the record statically (kmsbeacon publish --print zone) or use another server") \
	X(DNS_REFUSED, 0x8007232Du, "DNS_ERROR_RCODE_REFUSED", \
	  "REFUSED: the DNS server does not allow this", \
	  "policy (update-policy, allow-query), a secondary, a static or a frozen zone", \
	  "read the log of the server; kmsbeacon policy prints the rule that is needed") \
	X(DNS_YXDOMAIN, 0x8007232Eu, "DNS_ERROR_RCODE_YXDOMAIN", \
	  "YXDOMAIN: a name exists that should not", \
	  "another publisher changed the zone meanwhile", \
	  "nothing to do; the next cycle reads again") \
	X(DNS_YXRRSET, 0x8007232Fu, "DNS_ERROR_RCODE_YXRRSET", \
	  "YXRRSET: a record set exists that should not", \
	  "another publisher changed the zone meanwhile", \
	  "nothing to do; the next cycle reads again") \
	X(DNS_NXRRSET, 0x80072330u, "DNS_ERROR_RCODE_NXRRSET", \
	  "NXRRSET: the record set is not as it was read", \
	  "another publisher changed the zone meanwhile", \
	  "nothing to do; the next cycle reads again") \
	X(DNS_NOTAUTH, 0x80072331u, "DNS_ERROR_RCODE_NOTAUTH", \
	  "NOTAUTH: the server is not authoritative for the zone, or the signature was refused", \
	  "a wrong server or zone name, or trouble with the TSIG key", \
	  "check server and zone; with a TSIG error the key, its secret and the clocks") \
	X(DNS_NOTZONE, 0x80072332u, "DNS_ERROR_RCODE_NOTZONE", \
	  "NOTZONE: a name is not in the zone of the update", \
	  "the zone cut lies elsewhere than assumed", \
	  "check the delegation of _vlmcs._tcp and of the domain") \
	X(DNS_BADSIG, 0x80072338u, "DNS_ERROR_RCODE_BADSIG", \
	  "BADSIG: the DNS server rejects the signature (on Windows: no right on the existing record)", \
	  "the secret of the key differs; in a Windows zone another host owns the record", \
	  "compare the secret on both sides; in a Windows zone grant the hosts rights on _VLMCS") \
	X(DNS_BADKEY, 0x80072339u, "DNS_ERROR_RCODE_BADKEY", \
	  "BADKEY: the DNS server does not know the key or its algorithm, or does not allow it here", \
	  "the key statement is missing on the server, or its name or algorithm differs", \
	  "compare the key statement on the server with the key file") \
	X(DNS_BADTIME, 0x8007233Au, "DNS_ERROR_RCODE_BADTIME", \
	  "BADTIME: the clocks of this machine and of the DNS server differ too much", \
	  "no time synchronisation on one of them", \
	  "set both clocks by NTP") \
	X(DNS_NO_RECORDS, 0x8007251Du, "DNS_INFO_NO_RECORDS", \
	  "the name exists, but has no record of the type that was asked for", \
	  "the SRV record is missing in the zone; for an update: it was accepted without effect", \
	  "look at the record in the zone (dig SRV _vlmcs._tcp.DOMAIN at its primary)") \
	X(DNS_BAD_PACKET, 0x8007251Eu, "DNS_ERROR_BAD_PACKET", \
	  "a DNS reply was malformed", \
	  "a broken server, or a device that changes DNS on the way", \
	  "ask the server directly (dig) and compare with another server") \
	X(DNS_NO_PACKET, 0x8007251Fu, "DNS_ERROR_NO_PACKET", \
	  "there is no DNS packet", \
	  "nothing was received", \
	  "check the way to the DNS server") \
	X(DNS_RCODE, 0x80072520u, "DNS_ERROR_RCODE", \
	  "a DNS exchange failed in a way without a code of its own", \
	  "an unusual RCODE, or a local error", \
	  "read the text beside the code and the log") \
	X(DNS_UNSECURED, 0x80072521u, "DNS_ERROR_UNSECURED_PACKET", \
	  "the DNS reply could not be verified", \
	  "it was unsigned or signed otherwise than agreed", \
	  "check the key on both sides, and that nothing between them answers in place of the server") \
	X(DNS_NO_SERVERS, 0x8007267Cu, "DNS_ERROR_NO_DNS_SERVERS", \
	  "no DNS server is configured", \
	  "the network settings of the machine name no DNS server", \
	  "set a DNS server for the machine") \
	X(DNS_NAME_NOT_EXIST, 0x80092328u, "", \
	  "the DNS name does not exist", \
	  "as 0x8007232B", \
	  "compare the suffixes of the client with the domains that publish _vlmcs._tcp") \
	X(INVALID_NAME, 0x8007007Bu, "ERROR_INVALID_NAME", \
	  "no name to ask for: the client has no DNS suffix", \
	  "a workgroup machine without primary suffix, DHCP option 15 and search list", \
	  "give the client a suffix (DHCP option 15), a lookup domain or a manual host") \
	X(TIMEOUT, 0x800705B4u, "ERROR_TIMEOUT", \
	  "no answer in time", \
	  "the server is down, or packets are filtered on the way", \
	  "check that the server runs and that its port is reachable") \
	X(RPC_UNAVAILABLE, 0x800706BAu, "RPC_S_SERVER_UNAVAILABLE", \
	  "the RPC server is not available", \
	  "a firewall on the host, a stale SRV record, or a network problem", \
	  "probe the host (kmsbeacon probe HOST)") \
	X(RPC_CALL_FAILED, 0x800706BEu, "RPC_S_CALL_FAILED", \
	  "the RPC server was reached, but the call to it failed", \
	  "the host faulted, closed the connection in the middle, or is no KMS host", \
	  "look at the log of the host for the time of the attempt") \
	X(RPC_UNKNOWN_IF, 0x800706B5u, "RPC_S_UNKNOWN_IF", \
	  "the RPC server does not know the KMS interface", \
	  "something else owns the port, or the KMS service on the host is not active", \
	  "check that the target really is a KMS host (kmsbeacon probe HOST)") \
	X(RPC_NT_UNAVAILABLE, 0xC0020017u, "RPC_NT_SERVER_UNAVAILABLE", \
	  "the KMS host could not be reached (event 8198)", \
	  "a firewall, a forced tunnel, DNS, a wrong target, or a stuck licensing service", \
	  "probe the host (kmsbeacon probe HOST) from the network of the client") \
	X(INVALID_STATE, 0x8007139Fu, "ERROR_INVALID_STATE", \
	  "the licensing service is not in a state for the request (event 8198)", \
	  "a stuck licensing service", \
	  "restart the licensing service on the client (sppsvc)") \
	X(ACCESS_DENIED, 0x80070005u, "E_ACCESSDENIED", \
	  "access denied", \
	  "the command needs elevated rights", \
	  "use an elevated prompt; check DCOM and registry rights") \
	X(WINHTTP_TIMEOUT, 0x80072EE2u, "ERROR_WINHTTP_TIMEOUT", \
	  "no answer from Microsoft's activation servers in time", \
	  "an online activation (MAK, or the host's own), never a KMS client at its host", \
	  "let the proxy pass, or activate by telephone") \
	X(NOT_GENUINE_FILES, 0x8004FE21u, "", \
	  "the system is not genuine", \
	  "damaged system files or language packs", \
	  "repair or reinstall the system") \
	X(HOST_ONLINE_FAILED, 0x8004FE92u, "", \
	  "an online activation failed (no text of Microsoft's is known)", \
	  "reported for a host's own online activation", \
	  "activate the host by telephone") \
	X(INVALID_DATA, 0x8007000Du, "ERROR_INVALID_DATA", \
	  "the data is not valid", \
	  "the answer is not one of a KMS host for the client, or client and host are one machine", \
	  "check what answers on the port that the client uses")
/* clang-format on */

enum {
#define X(name, code, symbol, meaning, cause, next) HR_##name = (code),
	HRESULT_MAP(X)
#undef X
};

struct hresult_info {
	uint32_t code;
	const char *symbol;  /* "" where Windows' headers have none */
	const char *meaning; /* one clause each, without full stop */
	const char *cause;
	const char *next_step;
};

/** NULL for a code that the table does not have. Static. */
const struct hresult_info *hresult_find(uint32_t code);
/** The meaning, or "unknown code". Never NULL, static. */
const char *hresult_text(uint32_t code);
/** The table, in its order. */
size_t hresult_count(void);
const struct hresult_info *hresult_at(size_t i);

#define HRESULT_TEXT_MAX 16
/** "0xC004F074". @return buf, so that it can stand in an argument. */
const char *hresult_format(uint32_t code, char buf[HRESULT_TEXT_MAX]);

/** Windows' rule: 0x80070000 | (9000 + RCODE), for RCODE 1-10 and 16-18; 0: HR_OK; else
 * HR_DNS_RCODE. */
uint32_t hresult_from_rcode(unsigned rcode);
/**
 * The code of a failed exchange with a DNS server, as the publisher reports it (design §5): TIMEOUT
 * and what the kernel says of the way give HR_TIMEOUT, a reply that cannot be verified
 * HR_DNS_UNSECURED, a malformed one HR_DNS_BAD_PACKET, others HR_DNS_RCODE. What a *client* shows
 * for a failed lookup differs (rsv_discover).
 */
uint32_t hresult_from_err(int err);

#endif
