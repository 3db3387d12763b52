/*eslint-disable block-scoped-var, id-length, no-control-regex, no-magic-numbers, no-mixed-operators, no-prototype-builtins, no-redeclare, no-shadow, no-var, sort-vars, default-case, jsdoc/require-param*/
import $protobuf from "protobufjs/minimal.js";

// Common aliases
const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;
const $Object = $util.global.Object, $undefined = $util.global.undefined, $Error = $util.global.Error, $RangeError = $util.global.RangeError;

// Exported root namespace
const $root = $protobuf.roots["default"] || ($protobuf.roots["default"] = {});

export const lvr = $root.lvr = (() => {

    /**
     * Namespace lvr.
     * @exports lvr
     * @namespace
     */
    const lvr = {};

    lvr.Hello = (function() {

        /**
         * Properties of a Hello.
         * @typedef {Object} lvr.Hello.$Properties
         * @property {number|null} [protocol] Hello protocol
         * @property {number|null} [features] Hello features
         * @property {string|null} [group] Hello group
         * @property {string|null} [fromSite] Hello fromSite
         * @property {string|null} [toSite] Hello toSite
         * @property {number|null} [session] Hello session
         * @property {lvr.History.$Properties|null} [history] Hello history
         * @property {Array.<lvr.Volume.$Properties>|null} [volumes] Hello volumes
         * @property {number|null} [frameBytesMax] Hello frameBytesMax
         * @property {number|null} [logBytes] Hello logBytes
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Hello.
         * @memberof lvr
         * @interface IHello
         * @augments lvr.Hello.$Properties
         * @deprecated Use lvr.Hello.$Properties instead.
         */

        /**
         * Shape of a Hello.
         * @typedef {lvr.Hello.$Properties} lvr.Hello.$Shape
         */

        /**
         * Constructs a new Hello.
         * @memberof lvr
         * @classdesc Represents a Hello.
         * @constructor
         * @param {lvr.Hello.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Hello = function (properties) {
            this.volumes = [];
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Hello protocol.
         * @member {number} protocol
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.protocol = 0;

        /**
         * Hello features.
         * @member {number} features
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.features = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Hello group.
         * @member {string} group
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.group = "";

        /**
         * Hello fromSite.
         * @member {string} fromSite
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.fromSite = "";

        /**
         * Hello toSite.
         * @member {string} toSite
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.toSite = "";

        /**
         * Hello session.
         * @member {number} session
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.session = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Hello history.
         * @member {lvr.History.$Properties|null|undefined} history
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.history = null;

        /**
         * Hello volumes.
         * @member {Array.<lvr.Volume.$Properties>} volumes
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.volumes = $util.emptyArray;

        /**
         * Hello frameBytesMax.
         * @member {number} frameBytesMax
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.frameBytesMax = 0;

        /**
         * Hello logBytes.
         * @member {number} logBytes
         * @memberof lvr.Hello
         * @instance
         */
        Hello.prototype.logBytes = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Hello message. Does not implicitly {@link lvr.Hello.verify|verify} messages.
         * @function encode
         * @memberof lvr.Hello
         * @static
         * @param {lvr.Hello.$Properties} message Hello message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Hello.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.protocol != null && $Object.hasOwnProperty.call(message, "protocol") && message.protocol !== 0)
                writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.protocol);
            if (message.features != null && $Object.hasOwnProperty.call(message, "features") && (typeof message.features === "object" ? message.features.low || message.features.high : message.features !== 0))
                writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.features);
            if (message.group != null && $Object.hasOwnProperty.call(message, "group") && message.group !== "")
                writer.uint32(/* id 3, wireType 2 =*/26).string(message.group);
            if (message.fromSite != null && $Object.hasOwnProperty.call(message, "fromSite") && message.fromSite !== "")
                writer.uint32(/* id 4, wireType 2 =*/34).string(message.fromSite);
            if (message.toSite != null && $Object.hasOwnProperty.call(message, "toSite") && message.toSite !== "")
                writer.uint32(/* id 5, wireType 2 =*/42).string(message.toSite);
            if (message.session != null && $Object.hasOwnProperty.call(message, "session") && (typeof message.session === "object" ? message.session.low || message.session.high : message.session !== 0))
                writer.uint32(/* id 6, wireType 0 =*/48).uint64(message.session);
            if (message.history != null && $Object.hasOwnProperty.call(message, "history"))
                $root.lvr.History.encode(message.history, writer.uint32(/* id 7, wireType 2 =*/58).fork(), _depth + 1).ldelim();
            if (message.volumes != null && message.volumes.length)
                for (let i = 0; i < message.volumes.length; ++i)
                    $root.lvr.Volume.encode(message.volumes[i], writer.uint32(/* id 8, wireType 2 =*/66).fork(), _depth + 1).ldelim();
            if (message.frameBytesMax != null && $Object.hasOwnProperty.call(message, "frameBytesMax") && message.frameBytesMax !== 0)
                writer.uint32(/* id 9, wireType 0 =*/72).uint32(message.frameBytesMax);
            if (message.logBytes != null && $Object.hasOwnProperty.call(message, "logBytes") && (typeof message.logBytes === "object" ? message.logBytes.low || message.logBytes.high : message.logBytes !== 0))
                writer.uint32(/* id 10, wireType 0 =*/80).uint64(message.logBytes);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Hello message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Hello
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Hello & lvr.Hello.$Shape} Hello
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Hello.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Hello();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.protocol = value;
                        else
                            delete message.protocol;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.features = value;
                        else
                            delete message.features;
                        continue;
                    }
                case 3: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.group = value;
                        else
                            delete message.group;
                        continue;
                    }
                case 4: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.fromSite = value;
                        else
                            delete message.fromSite;
                        continue;
                    }
                case 5: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.toSite = value;
                        else
                            delete message.toSite;
                        continue;
                    }
                case 6: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.session = value;
                        else
                            delete message.session;
                        continue;
                    }
                case 7: {
                        if (wireType !== 2)
                            break;
                        message.history = $root.lvr.History.decode(reader, reader.size(), $undefined, _depth + 1, message.history);
                        continue;
                    }
                case 8: {
                        if (wireType !== 2)
                            break;
                        if (!(message.volumes && message.volumes.length))
                            message.volumes = [];
                        message.volumes.push($root.lvr.Volume.decode(reader, reader.size(), $undefined, _depth + 1));
                        continue;
                    }
                case 9: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.frameBytesMax = value;
                        else
                            delete message.frameBytesMax;
                        continue;
                    }
                case 10: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.logBytes = value;
                        else
                            delete message.logBytes;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Hello;
    })();

    /**
     * Role enum.
     * @name lvr.Role
     * @enum {number}
     * @property {number} ROLE_NONE=0 ROLE_NONE value
     * @property {number} PRIMARY=1 PRIMARY value
     * @property {number} SECONDARY=2 SECONDARY value
     */
    lvr.Role = (function() {
        const valuesById = $Object.create(null), values = $Object.create(valuesById);
        values[valuesById[0] = "ROLE_NONE"] = 0;
        values[valuesById[1] = "PRIMARY"] = 1;
        values[valuesById[2] = "SECONDARY"] = 2;
        return values;
    })();

    lvr.History = (function() {

        /**
         * Properties of a History.
         * @typedef {Object} lvr.History.$Properties
         * @property {lvr.Role|null} [role] History role
         * @property {string|null} [groupUuid] History groupUuid
         * @property {boolean|null} [blank] History blank
         * @property {boolean|null} [bornZero] History bornZero
         * @property {number|null} [epoch] History epoch
         * @property {Array.<lvr.LineageEntry.$Properties>|null} [lineage] History lineage
         * @property {number|null} [trimmed] History trimmed
         * @property {number|null} [applied] History applied
         * @property {number|null} [last] History last
         * @property {string|null} [resync] History resync
         * @property {lvr.Bitmap.$Properties|null} [bitmap] History bitmap
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a History.
         * @memberof lvr
         * @interface IHistory
         * @augments lvr.History.$Properties
         * @deprecated Use lvr.History.$Properties instead.
         */

        /**
         * Shape of a History.
         * @typedef {lvr.History.$Properties} lvr.History.$Shape
         */

        /**
         * Constructs a new History.
         * @memberof lvr
         * @classdesc Represents a History.
         * @constructor
         * @param {lvr.History.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const History = function (properties) {
            this.lineage = [];
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * History role.
         * @member {lvr.Role} role
         * @memberof lvr.History
         * @instance
         */
        History.prototype.role = 0;

        /**
         * History groupUuid.
         * @member {string} groupUuid
         * @memberof lvr.History
         * @instance
         */
        History.prototype.groupUuid = "";

        /**
         * History blank.
         * @member {boolean} blank
         * @memberof lvr.History
         * @instance
         */
        History.prototype.blank = false;

        /**
         * History bornZero.
         * @member {boolean} bornZero
         * @memberof lvr.History
         * @instance
         */
        History.prototype.bornZero = false;

        /**
         * History epoch.
         * @member {number} epoch
         * @memberof lvr.History
         * @instance
         */
        History.prototype.epoch = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * History lineage.
         * @member {Array.<lvr.LineageEntry.$Properties>} lineage
         * @memberof lvr.History
         * @instance
         */
        History.prototype.lineage = $util.emptyArray;

        /**
         * History trimmed.
         * @member {number} trimmed
         * @memberof lvr.History
         * @instance
         */
        History.prototype.trimmed = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * History applied.
         * @member {number} applied
         * @memberof lvr.History
         * @instance
         */
        History.prototype.applied = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * History last.
         * @member {number} last
         * @memberof lvr.History
         * @instance
         */
        History.prototype.last = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * History resync.
         * @member {string} resync
         * @memberof lvr.History
         * @instance
         */
        History.prototype.resync = "";

        /**
         * History bitmap.
         * @member {lvr.Bitmap.$Properties|null|undefined} bitmap
         * @memberof lvr.History
         * @instance
         */
        History.prototype.bitmap = null;

        /**
         * Encodes the specified History message. Does not implicitly {@link lvr.History.verify|verify} messages.
         * @function encode
         * @memberof lvr.History
         * @static
         * @param {lvr.History.$Properties} message History message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        History.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.role != null && $Object.hasOwnProperty.call(message, "role") && message.role !== 0)
                writer.uint32(/* id 1, wireType 0 =*/8).int32(message.role);
            if (message.groupUuid != null && $Object.hasOwnProperty.call(message, "groupUuid") && message.groupUuid !== "")
                writer.uint32(/* id 2, wireType 2 =*/18).string(message.groupUuid);
            if (message.blank != null && $Object.hasOwnProperty.call(message, "blank") && message.blank !== false)
                writer.uint32(/* id 3, wireType 0 =*/24).bool(message.blank);
            if (message.bornZero != null && $Object.hasOwnProperty.call(message, "bornZero") && message.bornZero !== false)
                writer.uint32(/* id 4, wireType 0 =*/32).bool(message.bornZero);
            if (message.epoch != null && $Object.hasOwnProperty.call(message, "epoch") && (typeof message.epoch === "object" ? message.epoch.low || message.epoch.high : message.epoch !== 0))
                writer.uint32(/* id 5, wireType 0 =*/40).uint64(message.epoch);
            if (message.lineage != null && message.lineage.length)
                for (let i = 0; i < message.lineage.length; ++i)
                    $root.lvr.LineageEntry.encode(message.lineage[i], writer.uint32(/* id 6, wireType 2 =*/50).fork(), _depth + 1).ldelim();
            if (message.trimmed != null && $Object.hasOwnProperty.call(message, "trimmed") && (typeof message.trimmed === "object" ? message.trimmed.low || message.trimmed.high : message.trimmed !== 0))
                writer.uint32(/* id 7, wireType 0 =*/56).uint64(message.trimmed);
            if (message.applied != null && $Object.hasOwnProperty.call(message, "applied") && (typeof message.applied === "object" ? message.applied.low || message.applied.high : message.applied !== 0))
                writer.uint32(/* id 8, wireType 0 =*/64).uint64(message.applied);
            if (message.last != null && $Object.hasOwnProperty.call(message, "last") && (typeof message.last === "object" ? message.last.low || message.last.high : message.last !== 0))
                writer.uint32(/* id 9, wireType 0 =*/72).uint64(message.last);
            if (message.resync != null && $Object.hasOwnProperty.call(message, "resync") && message.resync !== "")
                writer.uint32(/* id 10, wireType 2 =*/82).string(message.resync);
            if (message.bitmap != null && $Object.hasOwnProperty.call(message, "bitmap"))
                $root.lvr.Bitmap.encode(message.bitmap, writer.uint32(/* id 11, wireType 2 =*/90).fork(), _depth + 1).ldelim();
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a History message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.History
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.History & lvr.History.$Shape} History
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        History.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.History();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.int32())
                            message.role = value;
                        else
                            delete message.role;
                        continue;
                    }
                case 2: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.groupUuid = value;
                        else
                            delete message.groupUuid;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.blank = value;
                        else
                            delete message.blank;
                        continue;
                    }
                case 4: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.bornZero = value;
                        else
                            delete message.bornZero;
                        continue;
                    }
                case 5: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.epoch = value;
                        else
                            delete message.epoch;
                        continue;
                    }
                case 6: {
                        if (wireType !== 2)
                            break;
                        if (!(message.lineage && message.lineage.length))
                            message.lineage = [];
                        message.lineage.push($root.lvr.LineageEntry.decode(reader, reader.size(), $undefined, _depth + 1));
                        continue;
                    }
                case 7: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.trimmed = value;
                        else
                            delete message.trimmed;
                        continue;
                    }
                case 8: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.applied = value;
                        else
                            delete message.applied;
                        continue;
                    }
                case 9: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.last = value;
                        else
                            delete message.last;
                        continue;
                    }
                case 10: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.resync = value;
                        else
                            delete message.resync;
                        continue;
                    }
                case 11: {
                        if (wireType !== 2)
                            break;
                        message.bitmap = $root.lvr.Bitmap.decode(reader, reader.size(), $undefined, _depth + 1, message.bitmap);
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return History;
    })();

    lvr.Bitmap = (function() {

        /**
         * Properties of a Bitmap.
         * @typedef {Object} lvr.Bitmap.$Properties
         * @property {string|null} [uuid] Bitmap uuid
         * @property {number|null} [base] Bitmap base
         * @property {boolean|null} [kept] Bitmap kept
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Bitmap.
         * @memberof lvr
         * @interface IBitmap
         * @augments lvr.Bitmap.$Properties
         * @deprecated Use lvr.Bitmap.$Properties instead.
         */

        /**
         * Shape of a Bitmap.
         * @typedef {lvr.Bitmap.$Properties} lvr.Bitmap.$Shape
         */

        /**
         * Constructs a new Bitmap.
         * @memberof lvr
         * @classdesc Represents a Bitmap.
         * @constructor
         * @param {lvr.Bitmap.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Bitmap = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Bitmap uuid.
         * @member {string} uuid
         * @memberof lvr.Bitmap
         * @instance
         */
        Bitmap.prototype.uuid = "";

        /**
         * Bitmap base.
         * @member {number|null|undefined} base
         * @memberof lvr.Bitmap
         * @instance
         */
        Bitmap.prototype.base = null;

        /**
         * Bitmap kept.
         * @member {boolean} kept
         * @memberof lvr.Bitmap
         * @instance
         */
        Bitmap.prototype.kept = false;

        // OneOf field names bound to virtual getters and setters
        let $oneOfFields;

        // Virtual OneOf for proto3 optional field
        $Object.defineProperty(Bitmap.prototype, "_base", {
            get: $util.oneOfGetter($oneOfFields = ["base"]),
            set: $util.oneOfSetter($oneOfFields)
        });

        /**
         * Encodes the specified Bitmap message. Does not implicitly {@link lvr.Bitmap.verify|verify} messages.
         * @function encode
         * @memberof lvr.Bitmap
         * @static
         * @param {lvr.Bitmap.$Properties} message Bitmap message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Bitmap.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.uuid != null && $Object.hasOwnProperty.call(message, "uuid") && message.uuid !== "")
                writer.uint32(/* id 1, wireType 2 =*/10).string(message.uuid);
            if (message.base != null && $Object.hasOwnProperty.call(message, "base"))
                writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.base);
            if (message.kept != null && $Object.hasOwnProperty.call(message, "kept") && message.kept !== false)
                writer.uint32(/* id 3, wireType 0 =*/24).bool(message.kept);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Bitmap message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Bitmap
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Bitmap & lvr.Bitmap.$Shape} Bitmap
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Bitmap.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Bitmap();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.uuid = value;
                        else
                            delete message.uuid;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        message.base = reader.uint64();
                        message._base = "base";
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.kept = value;
                        else
                            delete message.kept;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Bitmap;
    })();

    lvr.LineageEntry = (function() {

        /**
         * Properties of a LineageEntry.
         * @typedef {Object} lvr.LineageEntry.$Properties
         * @property {number|null} [epoch] LineageEntry epoch
         * @property {number|null} [incarnation] LineageEntry incarnation
         * @property {number|null} [startLsn] LineageEntry startLsn
         * @property {boolean|null} [own] LineageEntry own
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a LineageEntry.
         * @memberof lvr
         * @interface ILineageEntry
         * @augments lvr.LineageEntry.$Properties
         * @deprecated Use lvr.LineageEntry.$Properties instead.
         */

        /**
         * Shape of a LineageEntry.
         * @typedef {lvr.LineageEntry.$Properties} lvr.LineageEntry.$Shape
         */

        /**
         * Constructs a new LineageEntry.
         * @memberof lvr
         * @classdesc Represents a LineageEntry.
         * @constructor
         * @param {lvr.LineageEntry.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const LineageEntry = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * LineageEntry epoch.
         * @member {number} epoch
         * @memberof lvr.LineageEntry
         * @instance
         */
        LineageEntry.prototype.epoch = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * LineageEntry incarnation.
         * @member {number} incarnation
         * @memberof lvr.LineageEntry
         * @instance
         */
        LineageEntry.prototype.incarnation = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * LineageEntry startLsn.
         * @member {number} startLsn
         * @memberof lvr.LineageEntry
         * @instance
         */
        LineageEntry.prototype.startLsn = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * LineageEntry own.
         * @member {boolean} own
         * @memberof lvr.LineageEntry
         * @instance
         */
        LineageEntry.prototype.own = false;

        /**
         * Encodes the specified LineageEntry message. Does not implicitly {@link lvr.LineageEntry.verify|verify} messages.
         * @function encode
         * @memberof lvr.LineageEntry
         * @static
         * @param {lvr.LineageEntry.$Properties} message LineageEntry message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        LineageEntry.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.epoch != null && $Object.hasOwnProperty.call(message, "epoch") && (typeof message.epoch === "object" ? message.epoch.low || message.epoch.high : message.epoch !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.epoch);
            if (message.incarnation != null && $Object.hasOwnProperty.call(message, "incarnation") && (typeof message.incarnation === "object" ? message.incarnation.low || message.incarnation.high : message.incarnation !== 0))
                writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.incarnation);
            if (message.startLsn != null && $Object.hasOwnProperty.call(message, "startLsn") && (typeof message.startLsn === "object" ? message.startLsn.low || message.startLsn.high : message.startLsn !== 0))
                writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.startLsn);
            if (message.own != null && $Object.hasOwnProperty.call(message, "own") && message.own !== false)
                writer.uint32(/* id 4, wireType 0 =*/32).bool(message.own);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a LineageEntry message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.LineageEntry
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.LineageEntry & lvr.LineageEntry.$Shape} LineageEntry
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        LineageEntry.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.LineageEntry();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.epoch = value;
                        else
                            delete message.epoch;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.incarnation = value;
                        else
                            delete message.incarnation;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.startLsn = value;
                        else
                            delete message.startLsn;
                        continue;
                    }
                case 4: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.own = value;
                        else
                            delete message.own;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return LineageEntry;
    })();

    lvr.Volume = (function() {

        /**
         * Properties of a Volume.
         * @typedef {Object} lvr.Volume.$Properties
         * @property {string|null} [name] Volume name
         * @property {number|null} [sizeBytes] Volume sizeBytes
         * @property {number|null} [blockBytes] Volume blockBytes
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Volume.
         * @memberof lvr
         * @interface IVolume
         * @augments lvr.Volume.$Properties
         * @deprecated Use lvr.Volume.$Properties instead.
         */

        /**
         * Shape of a Volume.
         * @typedef {lvr.Volume.$Properties} lvr.Volume.$Shape
         */

        /**
         * Constructs a new Volume.
         * @memberof lvr
         * @classdesc Represents a Volume.
         * @constructor
         * @param {lvr.Volume.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Volume = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Volume name.
         * @member {string} name
         * @memberof lvr.Volume
         * @instance
         */
        Volume.prototype.name = "";

        /**
         * Volume sizeBytes.
         * @member {number} sizeBytes
         * @memberof lvr.Volume
         * @instance
         */
        Volume.prototype.sizeBytes = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Volume blockBytes.
         * @member {number} blockBytes
         * @memberof lvr.Volume
         * @instance
         */
        Volume.prototype.blockBytes = 0;

        /**
         * Encodes the specified Volume message. Does not implicitly {@link lvr.Volume.verify|verify} messages.
         * @function encode
         * @memberof lvr.Volume
         * @static
         * @param {lvr.Volume.$Properties} message Volume message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Volume.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.name != null && $Object.hasOwnProperty.call(message, "name") && message.name !== "")
                writer.uint32(/* id 1, wireType 2 =*/10).string(message.name);
            if (message.sizeBytes != null && $Object.hasOwnProperty.call(message, "sizeBytes") && (typeof message.sizeBytes === "object" ? message.sizeBytes.low || message.sizeBytes.high : message.sizeBytes !== 0))
                writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.sizeBytes);
            if (message.blockBytes != null && $Object.hasOwnProperty.call(message, "blockBytes") && message.blockBytes !== 0)
                writer.uint32(/* id 3, wireType 0 =*/24).uint32(message.blockBytes);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Volume message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Volume
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Volume & lvr.Volume.$Shape} Volume
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Volume.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Volume();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.name = value;
                        else
                            delete message.name;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.sizeBytes = value;
                        else
                            delete message.sizeBytes;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.blockBytes = value;
                        else
                            delete message.blockBytes;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Volume;
    })();

    /**
     * Action enum.
     * @name lvr.Action
     * @enum {number}
     * @property {number} ACTION_NONE=0 ACTION_NONE value
     * @property {number} STREAM=1 STREAM value
     * @property {number} RESYNC=2 RESYNC value
     */
    lvr.Action = (function() {
        const valuesById = $Object.create(null), values = $Object.create(valuesById);
        values[valuesById[0] = "ACTION_NONE"] = 0;
        values[valuesById[1] = "STREAM"] = 1;
        values[valuesById[2] = "RESYNC"] = 2;
        return values;
    })();

    /**
     * Mode enum.
     * @name lvr.Mode
     * @enum {number}
     * @property {number} MODE_NONE=0 MODE_NONE value
     * @property {number} ASYNC=1 ASYNC value
     * @property {number} MEMORY=2 MEMORY value
     * @property {number} LOGGED=3 LOGGED value
     * @property {number} APPLIED=4 APPLIED value
     */
    lvr.Mode = (function() {
        const valuesById = $Object.create(null), values = $Object.create(valuesById);
        values[valuesById[0] = "MODE_NONE"] = 0;
        values[valuesById[1] = "ASYNC"] = 1;
        values[valuesById[2] = "MEMORY"] = 2;
        values[valuesById[3] = "LOGGED"] = 3;
        values[valuesById[4] = "APPLIED"] = 4;
        return values;
    })();

    lvr.Plan = (function() {

        /**
         * Properties of a Plan.
         * @typedef {Object} lvr.Plan.$Properties
         * @property {string|null} [rule] Plan rule
         * @property {lvr.Action|null} [action] Plan action
         * @property {string|null} [sender] Plan sender
         * @property {number|null} [from] Plan from
         * @property {boolean|null} [cut] Plan cut
         * @property {boolean|null} [adopt] Plan adopt
         * @property {number|null} [chain] Plan chain
         * @property {number|null} [dialerDigest] Plan dialerDigest
         * @property {number|null} [acceptorDigest] Plan acceptorDigest
         * @property {lvr.Mode|null} [mode] Plan mode
         * @property {string|null} [uuid] Plan uuid
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Plan.
         * @memberof lvr
         * @interface IPlan
         * @augments lvr.Plan.$Properties
         * @deprecated Use lvr.Plan.$Properties instead.
         */

        /**
         * Shape of a Plan.
         * @typedef {lvr.Plan.$Properties} lvr.Plan.$Shape
         */

        /**
         * Constructs a new Plan.
         * @memberof lvr
         * @classdesc Represents a Plan.
         * @constructor
         * @param {lvr.Plan.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Plan = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Plan rule.
         * @member {string} rule
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.rule = "";

        /**
         * Plan action.
         * @member {lvr.Action} action
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.action = 0;

        /**
         * Plan sender.
         * @member {string} sender
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.sender = "";

        /**
         * Plan from.
         * @member {number} from
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.from = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Plan cut.
         * @member {boolean} cut
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.cut = false;

        /**
         * Plan adopt.
         * @member {boolean} adopt
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.adopt = false;

        /**
         * Plan chain.
         * @member {number} chain
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.chain = 0;

        /**
         * Plan dialerDigest.
         * @member {number} dialerDigest
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.dialerDigest = 0;

        /**
         * Plan acceptorDigest.
         * @member {number} acceptorDigest
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.acceptorDigest = 0;

        /**
         * Plan mode.
         * @member {lvr.Mode} mode
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.mode = 0;

        /**
         * Plan uuid.
         * @member {string} uuid
         * @memberof lvr.Plan
         * @instance
         */
        Plan.prototype.uuid = "";

        /**
         * Encodes the specified Plan message. Does not implicitly {@link lvr.Plan.verify|verify} messages.
         * @function encode
         * @memberof lvr.Plan
         * @static
         * @param {lvr.Plan.$Properties} message Plan message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Plan.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.rule != null && $Object.hasOwnProperty.call(message, "rule") && message.rule !== "")
                writer.uint32(/* id 1, wireType 2 =*/10).string(message.rule);
            if (message.action != null && $Object.hasOwnProperty.call(message, "action") && message.action !== 0)
                writer.uint32(/* id 2, wireType 0 =*/16).int32(message.action);
            if (message.sender != null && $Object.hasOwnProperty.call(message, "sender") && message.sender !== "")
                writer.uint32(/* id 3, wireType 2 =*/26).string(message.sender);
            if (message.from != null && $Object.hasOwnProperty.call(message, "from") && (typeof message.from === "object" ? message.from.low || message.from.high : message.from !== 0))
                writer.uint32(/* id 4, wireType 0 =*/32).uint64(message.from);
            if (message.cut != null && $Object.hasOwnProperty.call(message, "cut") && message.cut !== false)
                writer.uint32(/* id 5, wireType 0 =*/40).bool(message.cut);
            if (message.adopt != null && $Object.hasOwnProperty.call(message, "adopt") && message.adopt !== false)
                writer.uint32(/* id 6, wireType 0 =*/48).bool(message.adopt);
            if (message.chain != null && $Object.hasOwnProperty.call(message, "chain") && message.chain !== 0)
                writer.uint32(/* id 7, wireType 5 =*/61).fixed32(message.chain);
            if (message.dialerDigest != null && $Object.hasOwnProperty.call(message, "dialerDigest") && message.dialerDigest !== 0)
                writer.uint32(/* id 8, wireType 5 =*/69).fixed32(message.dialerDigest);
            if (message.acceptorDigest != null && $Object.hasOwnProperty.call(message, "acceptorDigest") && message.acceptorDigest !== 0)
                writer.uint32(/* id 9, wireType 5 =*/77).fixed32(message.acceptorDigest);
            if (message.mode != null && $Object.hasOwnProperty.call(message, "mode") && message.mode !== 0)
                writer.uint32(/* id 10, wireType 0 =*/80).int32(message.mode);
            if (message.uuid != null && $Object.hasOwnProperty.call(message, "uuid") && message.uuid !== "")
                writer.uint32(/* id 11, wireType 2 =*/90).string(message.uuid);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Plan message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Plan
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Plan & lvr.Plan.$Shape} Plan
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Plan.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Plan();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.rule = value;
                        else
                            delete message.rule;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.int32())
                            message.action = value;
                        else
                            delete message.action;
                        continue;
                    }
                case 3: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.sender = value;
                        else
                            delete message.sender;
                        continue;
                    }
                case 4: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.from = value;
                        else
                            delete message.from;
                        continue;
                    }
                case 5: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.cut = value;
                        else
                            delete message.cut;
                        continue;
                    }
                case 6: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.bool())
                            message.adopt = value;
                        else
                            delete message.adopt;
                        continue;
                    }
                case 7: {
                        if (wireType !== 5)
                            break;
                        if (value = reader.fixed32())
                            message.chain = value;
                        else
                            delete message.chain;
                        continue;
                    }
                case 8: {
                        if (wireType !== 5)
                            break;
                        if (value = reader.fixed32())
                            message.dialerDigest = value;
                        else
                            delete message.dialerDigest;
                        continue;
                    }
                case 9: {
                        if (wireType !== 5)
                            break;
                        if (value = reader.fixed32())
                            message.acceptorDigest = value;
                        else
                            delete message.acceptorDigest;
                        continue;
                    }
                case 10: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.int32())
                            message.mode = value;
                        else
                            delete message.mode;
                        continue;
                    }
                case 11: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.uuid = value;
                        else
                            delete message.uuid;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Plan;
    })();

    lvr.Ready = (function() {

        /**
         * Properties of a Ready.
         * @typedef {Object} lvr.Ready.$Properties
         * @property {number|null} [from] Ready from
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Ready.
         * @memberof lvr
         * @interface IReady
         * @augments lvr.Ready.$Properties
         * @deprecated Use lvr.Ready.$Properties instead.
         */

        /**
         * Shape of a Ready.
         * @typedef {lvr.Ready.$Properties} lvr.Ready.$Shape
         */

        /**
         * Constructs a new Ready.
         * @memberof lvr
         * @classdesc Represents a Ready.
         * @constructor
         * @param {lvr.Ready.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Ready = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Ready from.
         * @member {number} from
         * @memberof lvr.Ready
         * @instance
         */
        Ready.prototype.from = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Ready message. Does not implicitly {@link lvr.Ready.verify|verify} messages.
         * @function encode
         * @memberof lvr.Ready
         * @static
         * @param {lvr.Ready.$Properties} message Ready message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Ready.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.from != null && $Object.hasOwnProperty.call(message, "from") && (typeof message.from === "object" ? message.from.low || message.from.high : message.from !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.from);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Ready message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Ready
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Ready & lvr.Ready.$Shape} Ready
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Ready.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Ready();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.from = value;
                        else
                            delete message.from;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Ready;
    })();

    lvr.RegionsDone = (function() {

        /**
         * Properties of a RegionsDone.
         * @typedef {Object} lvr.RegionsDone.$Properties
         * @property {number|null} [count] RegionsDone count
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a RegionsDone.
         * @memberof lvr
         * @interface IRegionsDone
         * @augments lvr.RegionsDone.$Properties
         * @deprecated Use lvr.RegionsDone.$Properties instead.
         */

        /**
         * Shape of a RegionsDone.
         * @typedef {lvr.RegionsDone.$Properties} lvr.RegionsDone.$Shape
         */

        /**
         * Constructs a new RegionsDone.
         * @memberof lvr
         * @classdesc Represents a RegionsDone.
         * @constructor
         * @param {lvr.RegionsDone.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const RegionsDone = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * RegionsDone count.
         * @member {number} count
         * @memberof lvr.RegionsDone
         * @instance
         */
        RegionsDone.prototype.count = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified RegionsDone message. Does not implicitly {@link lvr.RegionsDone.verify|verify} messages.
         * @function encode
         * @memberof lvr.RegionsDone
         * @static
         * @param {lvr.RegionsDone.$Properties} message RegionsDone message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        RegionsDone.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.count != null && $Object.hasOwnProperty.call(message, "count") && (typeof message.count === "object" ? message.count.low || message.count.high : message.count !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.count);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a RegionsDone message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.RegionsDone
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.RegionsDone & lvr.RegionsDone.$Shape} RegionsDone
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        RegionsDone.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.RegionsDone();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.count = value;
                        else
                            delete message.count;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return RegionsDone;
    })();

    lvr.Compared = (function() {

        /**
         * Properties of a Compared.
         * @typedef {Object} lvr.Compared.$Properties
         * @property {number|null} [piece] Compared piece
         * @property {number|null} [same] Compared same
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Compared.
         * @memberof lvr
         * @interface ICompared
         * @augments lvr.Compared.$Properties
         * @deprecated Use lvr.Compared.$Properties instead.
         */

        /**
         * Shape of a Compared.
         * @typedef {lvr.Compared.$Properties} lvr.Compared.$Shape
         */

        /**
         * Constructs a new Compared.
         * @memberof lvr
         * @classdesc Represents a Compared.
         * @constructor
         * @param {lvr.Compared.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Compared = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Compared piece.
         * @member {number} piece
         * @memberof lvr.Compared
         * @instance
         */
        Compared.prototype.piece = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Compared same.
         * @member {number} same
         * @memberof lvr.Compared
         * @instance
         */
        Compared.prototype.same = 0;

        /**
         * Encodes the specified Compared message. Does not implicitly {@link lvr.Compared.verify|verify} messages.
         * @function encode
         * @memberof lvr.Compared
         * @static
         * @param {lvr.Compared.$Properties} message Compared message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Compared.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.piece != null && $Object.hasOwnProperty.call(message, "piece") && (typeof message.piece === "object" ? message.piece.low || message.piece.high : message.piece !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.piece);
            if (message.same != null && $Object.hasOwnProperty.call(message, "same") && message.same !== 0)
                writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.same);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Compared message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Compared
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Compared & lvr.Compared.$Shape} Compared
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Compared.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Compared();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.piece = value;
                        else
                            delete message.piece;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.same = value;
                        else
                            delete message.same;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Compared;
    })();

    lvr.ResyncEnd = (function() {

        /**
         * Properties of a ResyncEnd.
         * @typedef {Object} lvr.ResyncEnd.$Properties
         * @property {number|null} [base] ResyncEnd base
         * @property {number|null} [chain] ResyncEnd chain
         * @property {number|null} [end] ResyncEnd end
         * @property {Array.<lvr.LineageEntry.$Properties>|null} [lineage] ResyncEnd lineage
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a ResyncEnd.
         * @memberof lvr
         * @interface IResyncEnd
         * @augments lvr.ResyncEnd.$Properties
         * @deprecated Use lvr.ResyncEnd.$Properties instead.
         */

        /**
         * Shape of a ResyncEnd.
         * @typedef {lvr.ResyncEnd.$Properties} lvr.ResyncEnd.$Shape
         */

        /**
         * Constructs a new ResyncEnd.
         * @memberof lvr
         * @classdesc Represents a ResyncEnd.
         * @constructor
         * @param {lvr.ResyncEnd.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const ResyncEnd = function (properties) {
            this.lineage = [];
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * ResyncEnd base.
         * @member {number} base
         * @memberof lvr.ResyncEnd
         * @instance
         */
        ResyncEnd.prototype.base = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * ResyncEnd chain.
         * @member {number} chain
         * @memberof lvr.ResyncEnd
         * @instance
         */
        ResyncEnd.prototype.chain = 0;

        /**
         * ResyncEnd end.
         * @member {number} end
         * @memberof lvr.ResyncEnd
         * @instance
         */
        ResyncEnd.prototype.end = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * ResyncEnd lineage.
         * @member {Array.<lvr.LineageEntry.$Properties>} lineage
         * @memberof lvr.ResyncEnd
         * @instance
         */
        ResyncEnd.prototype.lineage = $util.emptyArray;

        /**
         * Encodes the specified ResyncEnd message. Does not implicitly {@link lvr.ResyncEnd.verify|verify} messages.
         * @function encode
         * @memberof lvr.ResyncEnd
         * @static
         * @param {lvr.ResyncEnd.$Properties} message ResyncEnd message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        ResyncEnd.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.base != null && $Object.hasOwnProperty.call(message, "base") && (typeof message.base === "object" ? message.base.low || message.base.high : message.base !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.base);
            if (message.chain != null && $Object.hasOwnProperty.call(message, "chain") && message.chain !== 0)
                writer.uint32(/* id 2, wireType 5 =*/21).fixed32(message.chain);
            if (message.end != null && $Object.hasOwnProperty.call(message, "end") && (typeof message.end === "object" ? message.end.low || message.end.high : message.end !== 0))
                writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.end);
            if (message.lineage != null && message.lineage.length)
                for (let i = 0; i < message.lineage.length; ++i)
                    $root.lvr.LineageEntry.encode(message.lineage[i], writer.uint32(/* id 4, wireType 2 =*/34).fork(), _depth + 1).ldelim();
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a ResyncEnd message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.ResyncEnd
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.ResyncEnd & lvr.ResyncEnd.$Shape} ResyncEnd
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        ResyncEnd.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.ResyncEnd();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.base = value;
                        else
                            delete message.base;
                        continue;
                    }
                case 2: {
                        if (wireType !== 5)
                            break;
                        if (value = reader.fixed32())
                            message.chain = value;
                        else
                            delete message.chain;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.end = value;
                        else
                            delete message.end;
                        continue;
                    }
                case 4: {
                        if (wireType !== 2)
                            break;
                        if (!(message.lineage && message.lineage.length))
                            message.lineage = [];
                        message.lineage.push($root.lvr.LineageEntry.decode(reader, reader.size(), $undefined, _depth + 1));
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return ResyncEnd;
    })();

    lvr.Refused = (function() {

        /**
         * Properties of a Refused.
         * @typedef {Object} lvr.Refused.$Properties
         * @property {string|null} [code] Refused code
         * @property {string|null} [reason] Refused reason
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Refused.
         * @memberof lvr
         * @interface IRefused
         * @augments lvr.Refused.$Properties
         * @deprecated Use lvr.Refused.$Properties instead.
         */

        /**
         * Shape of a Refused.
         * @typedef {lvr.Refused.$Properties} lvr.Refused.$Shape
         */

        /**
         * Constructs a new Refused.
         * @memberof lvr
         * @classdesc Represents a Refused.
         * @constructor
         * @param {lvr.Refused.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Refused = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Refused code.
         * @member {string} code
         * @memberof lvr.Refused
         * @instance
         */
        Refused.prototype.code = "";

        /**
         * Refused reason.
         * @member {string} reason
         * @memberof lvr.Refused
         * @instance
         */
        Refused.prototype.reason = "";

        /**
         * Encodes the specified Refused message. Does not implicitly {@link lvr.Refused.verify|verify} messages.
         * @function encode
         * @memberof lvr.Refused
         * @static
         * @param {lvr.Refused.$Properties} message Refused message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Refused.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.code != null && $Object.hasOwnProperty.call(message, "code") && message.code !== "")
                writer.uint32(/* id 1, wireType 2 =*/10).string(message.code);
            if (message.reason != null && $Object.hasOwnProperty.call(message, "reason") && message.reason !== "")
                writer.uint32(/* id 2, wireType 2 =*/18).string(message.reason);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Refused message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Refused
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Refused & lvr.Refused.$Shape} Refused
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Refused.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Refused();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.code = value;
                        else
                            delete message.code;
                        continue;
                    }
                case 2: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.reason = value;
                        else
                            delete message.reason;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Refused;
    })();

    lvr.Ack = (function() {

        /**
         * Properties of an Ack.
         * @typedef {Object} lvr.Ack.$Properties
         * @property {number|null} [received] Ack received
         * @property {number|null} [logged] Ack logged
         * @property {number|null} [applied] Ack applied
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of an Ack.
         * @memberof lvr
         * @interface IAck
         * @augments lvr.Ack.$Properties
         * @deprecated Use lvr.Ack.$Properties instead.
         */

        /**
         * Shape of an Ack.
         * @typedef {lvr.Ack.$Properties} lvr.Ack.$Shape
         */

        /**
         * Constructs a new Ack.
         * @memberof lvr
         * @classdesc Represents an Ack.
         * @constructor
         * @param {lvr.Ack.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Ack = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Ack received.
         * @member {number} received
         * @memberof lvr.Ack
         * @instance
         */
        Ack.prototype.received = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Ack logged.
         * @member {number} logged
         * @memberof lvr.Ack
         * @instance
         */
        Ack.prototype.logged = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Ack applied.
         * @member {number} applied
         * @memberof lvr.Ack
         * @instance
         */
        Ack.prototype.applied = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Ack message. Does not implicitly {@link lvr.Ack.verify|verify} messages.
         * @function encode
         * @memberof lvr.Ack
         * @static
         * @param {lvr.Ack.$Properties} message Ack message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Ack.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.received != null && $Object.hasOwnProperty.call(message, "received") && (typeof message.received === "object" ? message.received.low || message.received.high : message.received !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.received);
            if (message.logged != null && $Object.hasOwnProperty.call(message, "logged") && (typeof message.logged === "object" ? message.logged.low || message.logged.high : message.logged !== 0))
                writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.logged);
            if (message.applied != null && $Object.hasOwnProperty.call(message, "applied") && (typeof message.applied === "object" ? message.applied.low || message.applied.high : message.applied !== 0))
                writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.applied);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes an Ack message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Ack
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Ack & lvr.Ack.$Shape} Ack
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Ack.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Ack();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.received = value;
                        else
                            delete message.received;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.logged = value;
                        else
                            delete message.logged;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.applied = value;
                        else
                            delete message.applied;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Ack;
    })();

    lvr.Durable = (function() {

        /**
         * Properties of a Durable.
         * @typedef {Object} lvr.Durable.$Properties
         * @property {number|null} [lsn] Durable lsn
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Durable.
         * @memberof lvr
         * @interface IDurable
         * @augments lvr.Durable.$Properties
         * @deprecated Use lvr.Durable.$Properties instead.
         */

        /**
         * Shape of a Durable.
         * @typedef {lvr.Durable.$Properties} lvr.Durable.$Shape
         */

        /**
         * Constructs a new Durable.
         * @memberof lvr
         * @classdesc Represents a Durable.
         * @constructor
         * @param {lvr.Durable.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Durable = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Durable lsn.
         * @member {number} lsn
         * @memberof lvr.Durable
         * @instance
         */
        Durable.prototype.lsn = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Durable message. Does not implicitly {@link lvr.Durable.verify|verify} messages.
         * @function encode
         * @memberof lvr.Durable
         * @static
         * @param {lvr.Durable.$Properties} message Durable message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Durable.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.lsn != null && $Object.hasOwnProperty.call(message, "lsn") && (typeof message.lsn === "object" ? message.lsn.low || message.lsn.high : message.lsn !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.lsn);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Durable message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Durable
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Durable & lvr.Durable.$Shape} Durable
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Durable.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Durable();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.lsn = value;
                        else
                            delete message.lsn;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Durable;
    })();

    lvr.Ping = (function() {

        /**
         * Properties of a Ping.
         * @typedef {Object} lvr.Ping.$Properties
         * @property {number|null} [timeMs] Ping timeMs
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Ping.
         * @memberof lvr
         * @interface IPing
         * @augments lvr.Ping.$Properties
         * @deprecated Use lvr.Ping.$Properties instead.
         */

        /**
         * Shape of a Ping.
         * @typedef {lvr.Ping.$Properties} lvr.Ping.$Shape
         */

        /**
         * Constructs a new Ping.
         * @memberof lvr
         * @classdesc Represents a Ping.
         * @constructor
         * @param {lvr.Ping.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Ping = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Ping timeMs.
         * @member {number} timeMs
         * @memberof lvr.Ping
         * @instance
         */
        Ping.prototype.timeMs = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Ping message. Does not implicitly {@link lvr.Ping.verify|verify} messages.
         * @function encode
         * @memberof lvr.Ping
         * @static
         * @param {lvr.Ping.$Properties} message Ping message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Ping.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.timeMs != null && $Object.hasOwnProperty.call(message, "timeMs") && (typeof message.timeMs === "object" ? message.timeMs.low || message.timeMs.high : message.timeMs !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.timeMs);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Ping message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Ping
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Ping & lvr.Ping.$Shape} Ping
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Ping.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Ping();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.timeMs = value;
                        else
                            delete message.timeMs;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Ping;
    })();

    lvr.Pong = (function() {

        /**
         * Properties of a Pong.
         * @typedef {Object} lvr.Pong.$Properties
         * @property {number|null} [timeMs] Pong timeMs
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Pong.
         * @memberof lvr
         * @interface IPong
         * @augments lvr.Pong.$Properties
         * @deprecated Use lvr.Pong.$Properties instead.
         */

        /**
         * Shape of a Pong.
         * @typedef {lvr.Pong.$Properties} lvr.Pong.$Shape
         */

        /**
         * Constructs a new Pong.
         * @memberof lvr
         * @classdesc Represents a Pong.
         * @constructor
         * @param {lvr.Pong.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Pong = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Pong timeMs.
         * @member {number} timeMs
         * @memberof lvr.Pong
         * @instance
         */
        Pong.prototype.timeMs = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Pong message. Does not implicitly {@link lvr.Pong.verify|verify} messages.
         * @function encode
         * @memberof lvr.Pong
         * @static
         * @param {lvr.Pong.$Properties} message Pong message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Pong.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.timeMs != null && $Object.hasOwnProperty.call(message, "timeMs") && (typeof message.timeMs === "object" ? message.timeMs.low || message.timeMs.high : message.timeMs !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.timeMs);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Pong message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Pong
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Pong & lvr.Pong.$Shape} Pong
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Pong.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Pong();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.timeMs = value;
                        else
                            delete message.timeMs;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Pong;
    })();

    lvr.Bye = (function() {

        /**
         * Properties of a Bye.
         * @typedef {Object} lvr.Bye.$Properties
         * @property {string|null} [reason] Bye reason
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Bye.
         * @memberof lvr
         * @interface IBye
         * @augments lvr.Bye.$Properties
         * @deprecated Use lvr.Bye.$Properties instead.
         */

        /**
         * Shape of a Bye.
         * @typedef {lvr.Bye.$Properties} lvr.Bye.$Shape
         */

        /**
         * Constructs a new Bye.
         * @memberof lvr
         * @classdesc Represents a Bye.
         * @constructor
         * @param {lvr.Bye.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Bye = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Bye reason.
         * @member {string} reason
         * @memberof lvr.Bye
         * @instance
         */
        Bye.prototype.reason = "";

        /**
         * Encodes the specified Bye message. Does not implicitly {@link lvr.Bye.verify|verify} messages.
         * @function encode
         * @memberof lvr.Bye
         * @static
         * @param {lvr.Bye.$Properties} message Bye message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Bye.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.reason != null && $Object.hasOwnProperty.call(message, "reason") && message.reason !== "")
                writer.uint32(/* id 1, wireType 2 =*/10).string(message.reason);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Bye message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Bye
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Bye & lvr.Bye.$Shape} Bye
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Bye.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Bye();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.reason = value;
                        else
                            delete message.reason;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Bye;
    })();

    lvr.Read = (function() {

        /**
         * Properties of a Read.
         * @typedef {Object} lvr.Read.$Properties
         * @property {number|null} [id] Read id
         * @property {number|null} [volume] Read volume
         * @property {number|null} [offset] Read offset
         * @property {number|null} [length] Read length
         * @property {number|null} [lsn] Read lsn
         * @property {number|null} [epoch] Read epoch
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a Read.
         * @memberof lvr
         * @interface IRead
         * @augments lvr.Read.$Properties
         * @deprecated Use lvr.Read.$Properties instead.
         */

        /**
         * Shape of a Read.
         * @typedef {lvr.Read.$Properties} lvr.Read.$Shape
         */

        /**
         * Constructs a new Read.
         * @memberof lvr
         * @classdesc Represents a Read.
         * @constructor
         * @param {lvr.Read.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const Read = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * Read id.
         * @member {number} id
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Read volume.
         * @member {number} volume
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.volume = 0;

        /**
         * Read offset.
         * @member {number} offset
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.offset = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Read length.
         * @member {number} length
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.length = 0;

        /**
         * Read lsn.
         * @member {number} lsn
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.lsn = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Read epoch.
         * @member {number} epoch
         * @memberof lvr.Read
         * @instance
         */
        Read.prototype.epoch = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * Encodes the specified Read message. Does not implicitly {@link lvr.Read.verify|verify} messages.
         * @function encode
         * @memberof lvr.Read
         * @static
         * @param {lvr.Read.$Properties} message Read message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        Read.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.id != null && $Object.hasOwnProperty.call(message, "id") && (typeof message.id === "object" ? message.id.low || message.id.high : message.id !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.id);
            if (message.volume != null && $Object.hasOwnProperty.call(message, "volume") && message.volume !== 0)
                writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.volume);
            if (message.offset != null && $Object.hasOwnProperty.call(message, "offset") && (typeof message.offset === "object" ? message.offset.low || message.offset.high : message.offset !== 0))
                writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.offset);
            if (message.length != null && $Object.hasOwnProperty.call(message, "length") && message.length !== 0)
                writer.uint32(/* id 4, wireType 0 =*/32).uint32(message.length);
            if (message.lsn != null && $Object.hasOwnProperty.call(message, "lsn") && (typeof message.lsn === "object" ? message.lsn.low || message.lsn.high : message.lsn !== 0))
                writer.uint32(/* id 5, wireType 0 =*/40).uint64(message.lsn);
            if (message.epoch != null && $Object.hasOwnProperty.call(message, "epoch") && (typeof message.epoch === "object" ? message.epoch.low || message.epoch.high : message.epoch !== 0))
                writer.uint32(/* id 6, wireType 0 =*/48).uint64(message.epoch);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a Read message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.Read
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.Read & lvr.Read.$Shape} Read
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        Read.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.Read();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.id = value;
                        else
                            delete message.id;
                        continue;
                    }
                case 2: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.volume = value;
                        else
                            delete message.volume;
                        continue;
                    }
                case 3: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.offset = value;
                        else
                            delete message.offset;
                        continue;
                    }
                case 4: {
                        if (wireType !== 0)
                            break;
                        if (value = reader.uint32())
                            message.length = value;
                        else
                            delete message.length;
                        continue;
                    }
                case 5: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.lsn = value;
                        else
                            delete message.lsn;
                        continue;
                    }
                case 6: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.epoch = value;
                        else
                            delete message.epoch;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return Read;
    })();

    lvr.ReadRefused = (function() {

        /**
         * Properties of a ReadRefused.
         * @typedef {Object} lvr.ReadRefused.$Properties
         * @property {number|null} [id] ReadRefused id
         * @property {string|null} [code] ReadRefused code
         * @property {string|null} [reason] ReadRefused reason
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */

        /**
         * Properties of a ReadRefused.
         * @memberof lvr
         * @interface IReadRefused
         * @augments lvr.ReadRefused.$Properties
         * @deprecated Use lvr.ReadRefused.$Properties instead.
         */

        /**
         * Shape of a ReadRefused.
         * @typedef {lvr.ReadRefused.$Properties} lvr.ReadRefused.$Shape
         */

        /**
         * Constructs a new ReadRefused.
         * @memberof lvr
         * @classdesc Represents a ReadRefused.
         * @constructor
         * @param {lvr.ReadRefused.$Properties=} [properties] Properties to set
         * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
         */
        const ReadRefused = function (properties) {
            if (properties)
                for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        };

        /**
         * ReadRefused id.
         * @member {number} id
         * @memberof lvr.ReadRefused
         * @instance
         */
        ReadRefused.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

        /**
         * ReadRefused code.
         * @member {string} code
         * @memberof lvr.ReadRefused
         * @instance
         */
        ReadRefused.prototype.code = "";

        /**
         * ReadRefused reason.
         * @member {string} reason
         * @memberof lvr.ReadRefused
         * @instance
         */
        ReadRefused.prototype.reason = "";

        /**
         * Encodes the specified ReadRefused message. Does not implicitly {@link lvr.ReadRefused.verify|verify} messages.
         * @function encode
         * @memberof lvr.ReadRefused
         * @static
         * @param {lvr.ReadRefused.$Properties} message ReadRefused message or plain object to encode
         * @param {$protobuf.Writer} [writer] Writer to encode to
         * @returns {$protobuf.Writer} Writer
         */
        ReadRefused.encode = function (message, writer, _depth) {
            if (!writer)
                writer = $Writer.create();
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $util.recursionLimit)
                throw $Error("max depth exceeded");
            if (message.id != null && $Object.hasOwnProperty.call(message, "id") && (typeof message.id === "object" ? message.id.low || message.id.high : message.id !== 0))
                writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.id);
            if (message.code != null && $Object.hasOwnProperty.call(message, "code") && message.code !== "")
                writer.uint32(/* id 2, wireType 2 =*/18).string(message.code);
            if (message.reason != null && $Object.hasOwnProperty.call(message, "reason") && message.reason !== "")
                writer.uint32(/* id 3, wireType 2 =*/26).string(message.reason);
            if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                for (let i = 0; i < message.$unknowns.length; ++i)
                    writer.raw(message.$unknowns[i]);
            return writer;
        };

        /**
         * Decodes a ReadRefused message from the specified reader or buffer.
         * @function decode
         * @memberof lvr.ReadRefused
         * @static
         * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
         * @param {number} [length] Message length if known beforehand
         * @returns {lvr.ReadRefused & lvr.ReadRefused.$Shape} ReadRefused
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        ReadRefused.decode = function (reader, length, _end, _depth, _target) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (_depth === $undefined)
                _depth = 0;
            if (_depth > $Reader.recursionLimit)
                throw $Error("max depth exceeded");
            let end, message, value;
            if (length === $undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw $RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = _target || new $root.lvr.ReadRefused();
            while (reader.pos < end) {
                let start = reader.pos;
                let tag = reader.tag();
                if (tag === _end) {
                    _end = $undefined;
                    break;
                }
                let wireType = tag & 7;
                switch (tag >>>= 3) {
                case 1: {
                        if (wireType !== 0)
                            break;
                        if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                            message.id = value;
                        else
                            delete message.id;
                        continue;
                    }
                case 2: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.code = value;
                        else
                            delete message.code;
                        continue;
                    }
                case 3: {
                        if (wireType !== 2)
                            break;
                        if ((value = reader.stringVerify()).length)
                            message.reason = value;
                        else
                            delete message.reason;
                        continue;
                    }
                }
                reader.skipType(wireType, _depth, tag);
                if (!reader.discardUnknown) {
                    $util.makeProp(message, "$unknowns", false);
                    (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                }
            }
            if (length !== $undefined) {
                if (reader.pos !== end)
                    throw $RangeError("index out of range");
                reader.len = length;
            }
            if (_end !== $undefined)
                throw $Error("missing end group");
            return message;
        };

        return ReadRefused;
    })();

    return lvr;
})();

export {
  $root as default
};
