import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;

import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;

/** Says on each subscribe what has come last, in the way of Salesforce's EMP-Connector. */
final class Replay implements ClientSession.Extension {
    private static final String NAME = "replay";

    /** The number of the last message, by channel. */
    final Map<String, Long> positions = new ConcurrentHashMap<>();

    private final AtomicBoolean isSupported = new AtomicBoolean();

    @Override
    public boolean sendMeta(ClientSession session, Message.Mutable message) {
        switch (message.getChannel()) {
            case Channel.META_HANDSHAKE -> message.getExt(true).put(NAME, true);
            case Channel.META_SUBSCRIBE -> {
                if (isSupported.get()) {
                    message.getExt(true).put(NAME, Map.copyOf(positions));
                }
            }
            default -> { }
        }
        return true;
    }

    @Override
    public boolean rcvMeta(ClientSession session, Message.Mutable message) {
        if (Channel.META_HANDSHAKE.equals(message.getChannel())) {
            var ext = message.getExt();
            isSupported.set(ext != null && Boolean.TRUE.equals(ext.get(NAME)));
        }
        return true;
    }

    @Override
    public boolean rcv(ClientSession session, Message.Mutable message) {
        var data = message.getDataAsMap();
        if (isSupported.get() && data != null && data.get("event") instanceof Map<?, ?> event
                && event.get("replayId") instanceof Number id) {
            positions.put(message.getChannel(), id.longValue());
        }
        return true;
    }
}
