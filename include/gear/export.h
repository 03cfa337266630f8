/* Symbol visibility and compiler attributes of the public header. */
#ifndef GEAR_EXPORT_H
#define GEAR_EXPORT_H

#if defined(_WIN32)
#  if defined(GEAR_STATIC)
#    define GEAR_API
#  elif defined(GEAR_BUILDING)
#    define GEAR_API __declspec(dllexport)
#  else
#    define GEAR_API __declspec(dllimport)
#  endif
#elif defined(__GNUC__)
#  define GEAR_API __attribute__((visibility("default")))
#else
#  define GEAR_API
#endif

#if defined(__GNUC__)
#  define GEAR_NODISCARD __attribute__((warn_unused_result))
#else
#  define GEAR_NODISCARD
#endif

#endif
