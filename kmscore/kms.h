/** Constants of the KMS model: licence states, thresholds, times (behaviour §3). Result codes are
 * in common/hresult.h. */
#ifndef KMSBEACON_KMSCORE_KMS_H
#define KMSBEACON_KMSCORE_KMS_H

#include <stdint.h>

#define KMS_PORT 1688

/** LicenseStatus of WMI and of the events, behaviour §3.2. */
enum kms_licence {
	KMS_UNLICENSED,
	KMS_LICENSED,
	KMS_OOB_GRACE,
	KMS_OOT_GRACE,
	KMS_NON_GENUINE_GRACE,
	KMS_NOTIFICATION,
	KMS_EXTENDED_GRACE,
	KMS_LICENCE_COUNT_,
};

#define KMS_THRESHOLD_CLIENT 25u
#define KMS_THRESHOLD_SERVER 5u

#define KMS_MINUTE_MS      INT64_C(60000)
#define KMS_DAY_MS         INT64_C(86400000)
#define KMS_GRACE_MS       (30 * KMS_DAY_MS)
#define KMS_VALIDITY_MS    (180 * KMS_DAY_MS)
#define KMS_CMID_LIFE_MS   (30 * KMS_DAY_MS)
#define KMS_SKEW_MAX_MS    (INT64_C(4) * 3600000)
#define KMS_INTERVAL_MIN   15u    /* minutes */
#define KMS_INTERVAL_MAX   43200u /* minutes */
#define KMS_ACTIVATION_MIN 120u   /* minutes between attempts while unactivated, by default */
#define KMS_RENEWAL_MIN    10080u /* minutes between renewals, by default */

/** Status bits of events 12288 and 12289, behaviour §4.6. */
#define KMS_STATUS_NOT_ENOUGH_COUNT 0x04000000u

#endif
