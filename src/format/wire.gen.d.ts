import * as $protobuf from "protobufjs/minimal.js";
import Long = require("long");

/** Namespace lvr. */
export namespace lvr {

    /**
     * Properties of a Hello.
     * @deprecated Use lvr.Hello.$Properties instead.
     */
    interface IHello extends lvr.Hello.$Properties {
    }

    /** Represents a Hello. */
    class Hello {

        /**
         * Constructs a new Hello.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Hello.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Hello protocol. */
        protocol: number;

        /** Hello features. */
        features: number;

        /** Hello group. */
        group: string;

        /** Hello fromSite. */
        fromSite: string;

        /** Hello toSite. */
        toSite: string;

        /** Hello session. */
        session: number;

        /** Hello history. */
        history?: (lvr.History.$Properties|null);

        /** Hello volumes. */
        volumes: lvr.Volume.$Properties[];

        /** Hello frameBytesMax. */
        frameBytesMax: number;

        /** Hello logBytes. */
        logBytes: number;

        /**
         * Encodes the specified Hello message. Does not implicitly {@link lvr.Hello.verify|verify} messages.
         * @param message Hello message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Hello.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Hello message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Hello & lvr.Hello.$Shape} Hello
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Hello & lvr.Hello.$Shape;
    }

    namespace Hello {

        /** Properties of a Hello. */
        interface $Properties {

            /** Hello protocol */
            protocol?: (number|null);

            /** Hello features */
            features?: (number|null);

            /** Hello group */
            group?: (string|null);

            /** Hello fromSite */
            fromSite?: (string|null);

            /** Hello toSite */
            toSite?: (string|null);

            /** Hello session */
            session?: (number|null);

            /** Hello history */
            history?: (lvr.History.$Properties|null);

            /** Hello volumes */
            volumes?: (lvr.Volume.$Properties[]|null);

            /** Hello frameBytesMax */
            frameBytesMax?: (number|null);

            /** Hello logBytes */
            logBytes?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Hello. */
        type $Shape = lvr.Hello.$Properties;
    }

    /** Role enum. */
    enum Role {

        /** ROLE_NONE value */
        ROLE_NONE = 0,

        /** PRIMARY value */
        PRIMARY = 1,

        /** SECONDARY value */
        SECONDARY = 2
    }

    /**
     * Properties of a History.
     * @deprecated Use lvr.History.$Properties instead.
     */
    interface IHistory extends lvr.History.$Properties {
    }

    /** Represents a History. */
    class History {

        /**
         * Constructs a new History.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.History.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** History role. */
        role: lvr.Role;

        /** History groupUuid. */
        groupUuid: string;

        /** History blank. */
        blank: boolean;

        /** History bornZero. */
        bornZero: boolean;

        /** History epoch. */
        epoch: number;

        /** History lineage. */
        lineage: lvr.LineageEntry.$Properties[];

        /** History trimmed. */
        trimmed: number;

        /** History applied. */
        applied: number;

        /** History last. */
        last: number;

        /** History resync. */
        resync: string;

        /** History bitmap. */
        bitmap?: (lvr.Bitmap.$Properties|null);

        /**
         * Encodes the specified History message. Does not implicitly {@link lvr.History.verify|verify} messages.
         * @param message History message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.History.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a History message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.History & lvr.History.$Shape} History
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.History & lvr.History.$Shape;
    }

    namespace History {

        /** Properties of a History. */
        interface $Properties {

            /** History role */
            role?: (lvr.Role|null);

            /** History groupUuid */
            groupUuid?: (string|null);

            /** History blank */
            blank?: (boolean|null);

            /** History bornZero */
            bornZero?: (boolean|null);

            /** History epoch */
            epoch?: (number|null);

            /** History lineage */
            lineage?: (lvr.LineageEntry.$Properties[]|null);

            /** History trimmed */
            trimmed?: (number|null);

            /** History applied */
            applied?: (number|null);

            /** History last */
            last?: (number|null);

            /** History resync */
            resync?: (string|null);

            /** History bitmap */
            bitmap?: (lvr.Bitmap.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a History. */
        type $Shape = lvr.History.$Properties;
    }

    /**
     * Properties of a Bitmap.
     * @deprecated Use lvr.Bitmap.$Properties instead.
     */
    interface IBitmap extends lvr.Bitmap.$Properties {
    }

    /** Represents a Bitmap. */
    class Bitmap {

        /**
         * Constructs a new Bitmap.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Bitmap.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Bitmap uuid. */
        uuid: string;

        /** Bitmap base. */
        base?: (number|null);

        /** Bitmap kept. */
        kept: boolean;

        /**
         * Encodes the specified Bitmap message. Does not implicitly {@link lvr.Bitmap.verify|verify} messages.
         * @param message Bitmap message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Bitmap.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Bitmap message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Bitmap & lvr.Bitmap.$Shape} Bitmap
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Bitmap & lvr.Bitmap.$Shape;
    }

    namespace Bitmap {

        /** Properties of a Bitmap. */
        interface $Properties {

            /** Bitmap uuid */
            uuid?: (string|null);

            /** Bitmap base */
            base?: (number|null);

            /** Bitmap kept */
            kept?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Bitmap. */
        type $Shape = lvr.Bitmap.$Properties;
    }

    /**
     * Properties of a LineageEntry.
     * @deprecated Use lvr.LineageEntry.$Properties instead.
     */
    interface ILineageEntry extends lvr.LineageEntry.$Properties {
    }

    /** Represents a LineageEntry. */
    class LineageEntry {

        /**
         * Constructs a new LineageEntry.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.LineageEntry.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** LineageEntry epoch. */
        epoch: number;

        /** LineageEntry incarnation. */
        incarnation: number;

        /** LineageEntry startLsn. */
        startLsn: number;

        /** LineageEntry own. */
        own: boolean;

        /**
         * Encodes the specified LineageEntry message. Does not implicitly {@link lvr.LineageEntry.verify|verify} messages.
         * @param message LineageEntry message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.LineageEntry.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a LineageEntry message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.LineageEntry & lvr.LineageEntry.$Shape} LineageEntry
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.LineageEntry & lvr.LineageEntry.$Shape;
    }

    namespace LineageEntry {

        /** Properties of a LineageEntry. */
        interface $Properties {

            /** LineageEntry epoch */
            epoch?: (number|null);

            /** LineageEntry incarnation */
            incarnation?: (number|null);

            /** LineageEntry startLsn */
            startLsn?: (number|null);

            /** LineageEntry own */
            own?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a LineageEntry. */
        type $Shape = lvr.LineageEntry.$Properties;
    }

    /**
     * Properties of a Volume.
     * @deprecated Use lvr.Volume.$Properties instead.
     */
    interface IVolume extends lvr.Volume.$Properties {
    }

    /** Represents a Volume. */
    class Volume {

        /**
         * Constructs a new Volume.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Volume.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Volume name. */
        name: string;

        /** Volume sizeBytes. */
        sizeBytes: number;

        /** Volume blockBytes. */
        blockBytes: number;

        /**
         * Encodes the specified Volume message. Does not implicitly {@link lvr.Volume.verify|verify} messages.
         * @param message Volume message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Volume.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Volume message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Volume & lvr.Volume.$Shape} Volume
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Volume & lvr.Volume.$Shape;
    }

    namespace Volume {

        /** Properties of a Volume. */
        interface $Properties {

            /** Volume name */
            name?: (string|null);

            /** Volume sizeBytes */
            sizeBytes?: (number|null);

            /** Volume blockBytes */
            blockBytes?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Volume. */
        type $Shape = lvr.Volume.$Properties;
    }

    /** Action enum. */
    enum Action {

        /** ACTION_NONE value */
        ACTION_NONE = 0,

        /** STREAM value */
        STREAM = 1,

        /** RESYNC value */
        RESYNC = 2
    }

    /** Mode enum. */
    enum Mode {

        /** MODE_NONE value */
        MODE_NONE = 0,

        /** ASYNC value */
        ASYNC = 1,

        /** MEMORY value */
        MEMORY = 2,

        /** LOGGED value */
        LOGGED = 3,

        /** APPLIED value */
        APPLIED = 4
    }

    /**
     * Properties of a Plan.
     * @deprecated Use lvr.Plan.$Properties instead.
     */
    interface IPlan extends lvr.Plan.$Properties {
    }

    /** Represents a Plan. */
    class Plan {

        /**
         * Constructs a new Plan.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Plan.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Plan rule. */
        rule: string;

        /** Plan action. */
        action: lvr.Action;

        /** Plan sender. */
        sender: string;

        /** Plan from. */
        from: number;

        /** Plan cut. */
        cut: boolean;

        /** Plan adopt. */
        adopt: boolean;

        /** Plan chain. */
        chain: number;

        /** Plan dialerDigest. */
        dialerDigest: number;

        /** Plan acceptorDigest. */
        acceptorDigest: number;

        /** Plan mode. */
        mode: lvr.Mode;

        /** Plan uuid. */
        uuid: string;

        /**
         * Encodes the specified Plan message. Does not implicitly {@link lvr.Plan.verify|verify} messages.
         * @param message Plan message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Plan.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Plan message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Plan & lvr.Plan.$Shape} Plan
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Plan & lvr.Plan.$Shape;
    }

    namespace Plan {

        /** Properties of a Plan. */
        interface $Properties {

            /** Plan rule */
            rule?: (string|null);

            /** Plan action */
            action?: (lvr.Action|null);

            /** Plan sender */
            sender?: (string|null);

            /** Plan from */
            from?: (number|null);

            /** Plan cut */
            cut?: (boolean|null);

            /** Plan adopt */
            adopt?: (boolean|null);

            /** Plan chain */
            chain?: (number|null);

            /** Plan dialerDigest */
            dialerDigest?: (number|null);

            /** Plan acceptorDigest */
            acceptorDigest?: (number|null);

            /** Plan mode */
            mode?: (lvr.Mode|null);

            /** Plan uuid */
            uuid?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Plan. */
        type $Shape = lvr.Plan.$Properties;
    }

    /**
     * Properties of a Ready.
     * @deprecated Use lvr.Ready.$Properties instead.
     */
    interface IReady extends lvr.Ready.$Properties {
    }

    /** Represents a Ready. */
    class Ready {

        /**
         * Constructs a new Ready.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Ready.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Ready from. */
        from: number;

        /**
         * Encodes the specified Ready message. Does not implicitly {@link lvr.Ready.verify|verify} messages.
         * @param message Ready message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Ready.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Ready message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Ready & lvr.Ready.$Shape} Ready
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Ready & lvr.Ready.$Shape;
    }

    namespace Ready {

        /** Properties of a Ready. */
        interface $Properties {

            /** Ready from */
            from?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Ready. */
        type $Shape = lvr.Ready.$Properties;
    }

    /**
     * Properties of a RegionsDone.
     * @deprecated Use lvr.RegionsDone.$Properties instead.
     */
    interface IRegionsDone extends lvr.RegionsDone.$Properties {
    }

    /** Represents a RegionsDone. */
    class RegionsDone {

        /**
         * Constructs a new RegionsDone.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.RegionsDone.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** RegionsDone count. */
        count: number;

        /**
         * Encodes the specified RegionsDone message. Does not implicitly {@link lvr.RegionsDone.verify|verify} messages.
         * @param message RegionsDone message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.RegionsDone.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a RegionsDone message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.RegionsDone & lvr.RegionsDone.$Shape} RegionsDone
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.RegionsDone & lvr.RegionsDone.$Shape;
    }

    namespace RegionsDone {

        /** Properties of a RegionsDone. */
        interface $Properties {

            /** RegionsDone count */
            count?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a RegionsDone. */
        type $Shape = lvr.RegionsDone.$Properties;
    }

    /**
     * Properties of a Compared.
     * @deprecated Use lvr.Compared.$Properties instead.
     */
    interface ICompared extends lvr.Compared.$Properties {
    }

    /** Represents a Compared. */
    class Compared {

        /**
         * Constructs a new Compared.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Compared.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Compared piece. */
        piece: number;

        /** Compared same. */
        same: number;

        /**
         * Encodes the specified Compared message. Does not implicitly {@link lvr.Compared.verify|verify} messages.
         * @param message Compared message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Compared.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Compared message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Compared & lvr.Compared.$Shape} Compared
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Compared & lvr.Compared.$Shape;
    }

    namespace Compared {

        /** Properties of a Compared. */
        interface $Properties {

            /** Compared piece */
            piece?: (number|null);

            /** Compared same */
            same?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Compared. */
        type $Shape = lvr.Compared.$Properties;
    }

    /**
     * Properties of a ResyncEnd.
     * @deprecated Use lvr.ResyncEnd.$Properties instead.
     */
    interface IResyncEnd extends lvr.ResyncEnd.$Properties {
    }

    /** Represents a ResyncEnd. */
    class ResyncEnd {

        /**
         * Constructs a new ResyncEnd.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.ResyncEnd.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ResyncEnd base. */
        base: number;

        /** ResyncEnd chain. */
        chain: number;

        /** ResyncEnd end. */
        end: number;

        /** ResyncEnd lineage. */
        lineage: lvr.LineageEntry.$Properties[];

        /**
         * Encodes the specified ResyncEnd message. Does not implicitly {@link lvr.ResyncEnd.verify|verify} messages.
         * @param message ResyncEnd message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.ResyncEnd.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ResyncEnd message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.ResyncEnd & lvr.ResyncEnd.$Shape} ResyncEnd
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.ResyncEnd & lvr.ResyncEnd.$Shape;
    }

    namespace ResyncEnd {

        /** Properties of a ResyncEnd. */
        interface $Properties {

            /** ResyncEnd base */
            base?: (number|null);

            /** ResyncEnd chain */
            chain?: (number|null);

            /** ResyncEnd end */
            end?: (number|null);

            /** ResyncEnd lineage */
            lineage?: (lvr.LineageEntry.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ResyncEnd. */
        type $Shape = lvr.ResyncEnd.$Properties;
    }

    /**
     * Properties of a Refused.
     * @deprecated Use lvr.Refused.$Properties instead.
     */
    interface IRefused extends lvr.Refused.$Properties {
    }

    /** Represents a Refused. */
    class Refused {

        /**
         * Constructs a new Refused.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Refused.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Refused code. */
        code: string;

        /** Refused reason. */
        reason: string;

        /**
         * Encodes the specified Refused message. Does not implicitly {@link lvr.Refused.verify|verify} messages.
         * @param message Refused message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Refused.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Refused message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Refused & lvr.Refused.$Shape} Refused
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Refused & lvr.Refused.$Shape;
    }

    namespace Refused {

        /** Properties of a Refused. */
        interface $Properties {

            /** Refused code */
            code?: (string|null);

            /** Refused reason */
            reason?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Refused. */
        type $Shape = lvr.Refused.$Properties;
    }

    /**
     * Properties of an Ack.
     * @deprecated Use lvr.Ack.$Properties instead.
     */
    interface IAck extends lvr.Ack.$Properties {
    }

    /** Represents an Ack. */
    class Ack {

        /**
         * Constructs a new Ack.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Ack.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Ack received. */
        received: number;

        /** Ack logged. */
        logged: number;

        /** Ack applied. */
        applied: number;

        /**
         * Encodes the specified Ack message. Does not implicitly {@link lvr.Ack.verify|verify} messages.
         * @param message Ack message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Ack.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an Ack message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Ack & lvr.Ack.$Shape} Ack
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Ack & lvr.Ack.$Shape;
    }

    namespace Ack {

        /** Properties of an Ack. */
        interface $Properties {

            /** Ack received */
            received?: (number|null);

            /** Ack logged */
            logged?: (number|null);

            /** Ack applied */
            applied?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an Ack. */
        type $Shape = lvr.Ack.$Properties;
    }

    /**
     * Properties of a Durable.
     * @deprecated Use lvr.Durable.$Properties instead.
     */
    interface IDurable extends lvr.Durable.$Properties {
    }

    /** Represents a Durable. */
    class Durable {

        /**
         * Constructs a new Durable.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Durable.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Durable lsn. */
        lsn: number;

        /**
         * Encodes the specified Durable message. Does not implicitly {@link lvr.Durable.verify|verify} messages.
         * @param message Durable message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Durable.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Durable message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Durable & lvr.Durable.$Shape} Durable
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Durable & lvr.Durable.$Shape;
    }

    namespace Durable {

        /** Properties of a Durable. */
        interface $Properties {

            /** Durable lsn */
            lsn?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Durable. */
        type $Shape = lvr.Durable.$Properties;
    }

    /**
     * Properties of a Ping.
     * @deprecated Use lvr.Ping.$Properties instead.
     */
    interface IPing extends lvr.Ping.$Properties {
    }

    /** Represents a Ping. */
    class Ping {

        /**
         * Constructs a new Ping.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Ping.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Ping timeMs. */
        timeMs: number;

        /**
         * Encodes the specified Ping message. Does not implicitly {@link lvr.Ping.verify|verify} messages.
         * @param message Ping message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Ping.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Ping message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Ping & lvr.Ping.$Shape} Ping
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Ping & lvr.Ping.$Shape;
    }

    namespace Ping {

        /** Properties of a Ping. */
        interface $Properties {

            /** Ping timeMs */
            timeMs?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Ping. */
        type $Shape = lvr.Ping.$Properties;
    }

    /**
     * Properties of a Pong.
     * @deprecated Use lvr.Pong.$Properties instead.
     */
    interface IPong extends lvr.Pong.$Properties {
    }

    /** Represents a Pong. */
    class Pong {

        /**
         * Constructs a new Pong.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Pong.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Pong timeMs. */
        timeMs: number;

        /**
         * Encodes the specified Pong message. Does not implicitly {@link lvr.Pong.verify|verify} messages.
         * @param message Pong message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Pong.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Pong message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Pong & lvr.Pong.$Shape} Pong
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Pong & lvr.Pong.$Shape;
    }

    namespace Pong {

        /** Properties of a Pong. */
        interface $Properties {

            /** Pong timeMs */
            timeMs?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Pong. */
        type $Shape = lvr.Pong.$Properties;
    }

    /**
     * Properties of a Bye.
     * @deprecated Use lvr.Bye.$Properties instead.
     */
    interface IBye extends lvr.Bye.$Properties {
    }

    /** Represents a Bye. */
    class Bye {

        /**
         * Constructs a new Bye.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Bye.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Bye reason. */
        reason: string;

        /**
         * Encodes the specified Bye message. Does not implicitly {@link lvr.Bye.verify|verify} messages.
         * @param message Bye message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Bye.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Bye message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Bye & lvr.Bye.$Shape} Bye
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Bye & lvr.Bye.$Shape;
    }

    namespace Bye {

        /** Properties of a Bye. */
        interface $Properties {

            /** Bye reason */
            reason?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Bye. */
        type $Shape = lvr.Bye.$Properties;
    }

    /**
     * Properties of a Read.
     * @deprecated Use lvr.Read.$Properties instead.
     */
    interface IRead extends lvr.Read.$Properties {
    }

    /** Represents a Read. */
    class Read {

        /**
         * Constructs a new Read.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.Read.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Read id. */
        id: number;

        /** Read volume. */
        volume: number;

        /** Read offset. */
        offset: number;

        /** Read length. */
        length: number;

        /** Read lsn. */
        lsn: number;

        /** Read epoch. */
        epoch: number;

        /**
         * Encodes the specified Read message. Does not implicitly {@link lvr.Read.verify|verify} messages.
         * @param message Read message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.Read.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Read message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.Read & lvr.Read.$Shape} Read
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.Read & lvr.Read.$Shape;
    }

    namespace Read {

        /** Properties of a Read. */
        interface $Properties {

            /** Read id */
            id?: (number|null);

            /** Read volume */
            volume?: (number|null);

            /** Read offset */
            offset?: (number|null);

            /** Read length */
            length?: (number|null);

            /** Read lsn */
            lsn?: (number|null);

            /** Read epoch */
            epoch?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Read. */
        type $Shape = lvr.Read.$Properties;
    }

    /**
     * Properties of a ReadRefused.
     * @deprecated Use lvr.ReadRefused.$Properties instead.
     */
    interface IReadRefused extends lvr.ReadRefused.$Properties {
    }

    /** Represents a ReadRefused. */
    class ReadRefused {

        /**
         * Constructs a new ReadRefused.
         * @param [properties] Properties to set
         */
        constructor(properties?: lvr.ReadRefused.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ReadRefused id. */
        id: number;

        /** ReadRefused code. */
        code: string;

        /** ReadRefused reason. */
        reason: string;

        /**
         * Encodes the specified ReadRefused message. Does not implicitly {@link lvr.ReadRefused.verify|verify} messages.
         * @param message ReadRefused message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: lvr.ReadRefused.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ReadRefused message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {lvr.ReadRefused & lvr.ReadRefused.$Shape} ReadRefused
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): lvr.ReadRefused & lvr.ReadRefused.$Shape;
    }

    namespace ReadRefused {

        /** Properties of a ReadRefused. */
        interface $Properties {

            /** ReadRefused id */
            id?: (number|null);

            /** ReadRefused code */
            code?: (string|null);

            /** ReadRefused reason */
            reason?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ReadRefused. */
        type $Shape = lvr.ReadRefused.$Properties;
    }
}
