// machine.I2C over the MPS2 boards' SBCon two-wire buses, bit by bit. A transfer that no chip answers raises OSError(ENODEV)
// or, within a write, returns the count of acknowledged bytes; no clock stretching, one master.
//
// Source: Arm DAI 0385, section "I2C"; NXP UM10204 for the bus. Register 0 sets lines (reads their level), register 4 pulls
// them low; bit 0 is SCL, bit 1 is SDA. Buses 0..3: touch screen, audio, shield 0, shield 1.

#include "py/runtime.h"
#include "py/mperrno.h"
#include "extmod/modmachine.h"

#if MICROPY_PY_MACHINE_I2C

#define SCL (1u << 0)
#define SDA (1u << 1)

typedef struct {
    volatile uint32_t set, clear;
} sbcon_t;

static sbcon_t *const buses[] = {
    (sbcon_t *)0x40022000, (sbcon_t *)0x40023000, (sbcon_t *)0x40029000, (sbcon_t *)0x4002a000,
};

typedef struct {
    mp_obj_base_t base;
    sbcon_t *lines;
    uint8_t bus;
} i2c_obj_t;

static void bus_start(sbcon_t *lines) {
    lines->set = SDA;
    lines->set = SCL;
    lines->clear = SDA;
    lines->clear = SCL;
}

static void bus_stop(sbcon_t *lines) {
    lines->clear = SDA;
    lines->set = SCL;
    lines->set = SDA;
}

static void bus_put_bit(sbcon_t *lines, bool bit) {
    if (bit) {
        lines->set = SDA;
    } else {
        lines->clear = SDA;
    }
    lines->set = SCL;
    lines->clear = SCL;
}

static bool bus_get_bit(sbcon_t *lines) {
    lines->set = SDA;
    lines->set = SCL;
    bool bit = lines->set & SDA;
    lines->clear = SCL;
    return bit;
}

// True when the chip acknowledged.
static bool bus_put_byte(sbcon_t *lines, uint8_t byte) {
    for (int i = 7; i >= 0; --i) {
        bus_put_bit(lines, (byte >> i) & 1);
    }
    return !bus_get_bit(lines);
}

static uint8_t bus_get_byte(sbcon_t *lines, bool last) {
    uint8_t byte = 0;
    for (int i = 0; i < 8; ++i) {
        byte = byte << 1 | bus_get_bit(lines);
    }
    bus_put_bit(lines, last);
    return byte;
}

// Returns the count of acknowledged bytes of a write, 0 for a read, or -MP_ENODEV.
static int i2c_transfer_single(mp_obj_base_t *self_in, uint16_t address, size_t len, uint8_t *buf, unsigned int flags) {
    sbcon_t *lines = ((i2c_obj_t *)self_in)->lines;
    bool is_read = flags & MP_MACHINE_I2C_FLAG_READ;
    int result = 0;
    bus_start(lines);
    if (!bus_put_byte(lines, address << 1 | is_read)) {
        bus_stop(lines);
        return -MP_ENODEV;
    }
    for (size_t i = 0; i < len; ++i) {
        if (is_read) {
            buf[i] = bus_get_byte(lines, i + 1 == len);
        } else if (bus_put_byte(lines, buf[i])) {
            ++result;
        } else {
            break;
        }
    }
    if (flags & MP_MACHINE_I2C_FLAG_STOP) {
        bus_stop(lines);
    }
    return result;
}

static mp_obj_t i2c_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    mp_int_t bus = mp_obj_get_int(args[0]);
    if (bus < 0 || bus >= (mp_int_t)MP_ARRAY_SIZE(buses)) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("I2C bus: got %d, wanted 0..3"), (int)bus);
    }
    i2c_obj_t *self = mp_obj_malloc(i2c_obj_t, type);
    self->bus = bus;
    self->lines = buses[bus];
    bus_stop(self->lines);
    return MP_OBJ_FROM_PTR(self);
}

static void i2c_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    mp_printf(print, "I2C(%u)", ((i2c_obj_t *)MP_OBJ_TO_PTR(self_in))->bus);
}

static void i2c_init(mp_obj_base_t *self_in, size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    mp_arg_check_num(n_args, kw_args->used, 0, 0, false);
}

static const mp_machine_i2c_p_t i2c_protocol = {
    .init = i2c_init,
    .transfer = mp_machine_i2c_transfer_adaptor,
    .transfer_single = i2c_transfer_single,
};

MP_DEFINE_CONST_OBJ_TYPE(
    machine_i2c_type,
    MP_QSTR_I2C,
    MP_TYPE_FLAG_NONE,
    make_new, i2c_make_new,
    print, i2c_print,
    protocol, &i2c_protocol,
    locals_dict, &mp_machine_i2c_locals_dict
    );

#endif
