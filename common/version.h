/** The version, in one place. */
#ifndef KMSBEACON_COMMON_VERSION_H
#define KMSBEACON_COMMON_VERSION_H

#define KMSBEACON_VERSION "0.1.0"

#endif
